package server

import (
	"strconv"

	"raftcached/protocol"
)

// What clients of ElastiCache ask a server for to learn of the others: a command,
// and before it existed a key.
const (
	clusterArg = "cluster"
	clusterKey = "AmazonElastiCache:cluster"
)

// Member is a server of the cluster as clients reach it.
type Member struct {
	Host string
	Port int
}

// asksForMembers reports whether a request asks for the servers of the cluster.
func asksForMembers(req *protocol.Request) bool {
	return req.Command == protocol.ConfigGet ||
		(req.Command == protocol.Get || req.Command == protocol.Gets) && len(req.Keys) == 1 && string(req.Key) == clusterKey
}

// answerMembers lists the servers in ElastiCache's form:
//
//	CONFIG cluster 0 LENGTH\r\n             VALUE AmazonElastiCache:cluster 0 LENGTH\r\n
//	VERSION\n                               likewise
//	HOST|IP|PORT HOST|IP|PORT ...\n
//	\r\n
//	END\r\n
//
// LENGTH counts both lines and their ends. Clients take the address and, if that
// is empty, the host, or always one of them: the host stands in both places, as
// the servers know each other by it. VERSION grows whenever the servers change.
func (c *conn) answerMembers(req *protocol.Request) {
	if req.Command == protocol.ConfigGet && string(req.Arg) != clusterArg {
		c.reply(protocol.ReplyEnd)
		return
	}
	version, members := c.loop.server.backend.Members(c.events.LocalAddr())
	text := append(strconv.AppendUint(nil, version, 10), '\n')
	for i, m := range members {
		if i > 0 {
			text = append(text, ' ')
		}
		text = append(text, m.Host+"|"+m.Host+"|"...)
		text = strconv.AppendInt(text, int64(m.Port), 10)
	}
	text = append(text, '\n')
	if req.Command == protocol.ConfigGet {
		c.reply("CONFIG cluster 0 " + strconv.Itoa(len(text)) + "\r\n" + string(text) + "\r\n")
	} else {
		c.out.replies = protocol.AppendValue(c.buffer(), req.Key, 0, 0, req.Command == protocol.Gets, text)
	}
	c.reply(protocol.ReplyEnd)
}
