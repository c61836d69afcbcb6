package server

import (
	"strconv"

	"raftcached/protocol"
)

// Clients of ElastiCache discover the servers of a cluster with a command, "config
// get cluster", or with a get of a special key, which is older.
const (
	clusterArg = "cluster"
	clusterKey = "AmazonElastiCache:cluster"
)

// Member is the address of a server of the cluster for clients.
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
// LENGTH counts both lines with their ends. Some clients use IP, or HOST if IP is
// empty; others always use the same one of them. So both are the configured host.
// VERSION grows whenever the servers change.
func (c *conn) answerMembers(req *protocol.Request) {
	if req.Command == protocol.ConfigGet && string(req.Arg) != clusterArg {
		c.reply("ERROR\r\n") // as memcached, so that clients fall back to what it has
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
