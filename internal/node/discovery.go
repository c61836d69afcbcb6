package node

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"time"

	"raftcached/protocol/server"
)

// listing is the list of servers that clients get by config get cluster, while
// servers are left out of it that this node does not reach. Each server that clients
// ask has a list of its own then, which must have a version that no two lists share,
// and that is higher for a newer one, also after a restart and between servers:
// it is the time at which the list has changed.
type listing struct {
	mu      sync.Mutex
	version uint64
	members []server.Member
}

// Members implements server.Backend: those that serve clients. A server that is to get
// a vote does not before it has one.
func (n *Node) Members(local string) (version uint64, members []server.Member) {
	known := n.members()
	away := n.awayFor(n.cfg.UnlistAfter)
	for _, m := range n.places() {
		port := n.clientPort(&m.Member)
		if port == 0 || !m.votes() && !m.Stays || m.RaftID == 0 || away[m.ServerID] {
			continue
		}
		members = append(members, server.Member{Host: m.Host, Port: port})
	}
	if len(known.Members) == 1 {
		members = []server.Member{memberAt(local)}
	}
	if n.cfg.UnlistAfter == 0 {
		return known.Version + 1, members
	}
	return n.listing.update(members, time.Now()), members
}

// update returns the version of a list.
func (l *listing) update(members []server.Member, now time.Time) uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.version == 0 || !slices.Equal(members, l.members) {
		l.version = max(l.version+1, uint64(max(0, now.Unix())))
		l.members = members
	}
	return l.version
}

// awayFor returns the servers that were out of reach for as long; none, if that is 0.
func (n *Node) awayFor(patience time.Duration) map[int]bool {
	if patience == 0 || n.transport == nil {
		return nil
	}
	away := map[int]bool{}
	for _, m := range n.places() {
		s := n.transport.Sight(m.RaftID)
		if !n.isSelf(&m.Member) && !s.Connected && !s.Since.IsZero() && time.Since(s.Since) >= patience {
			away[m.ServerID] = true
		}
	}
	return away
}

// memberAt is this node as a client has found it.
func memberAt(local string) server.Member {
	host, port, err := net.SplitHostPort(local)
	number, numberErr := strconv.Atoi(port)
	if errors.Join(err, numberErr) != nil {
		panic(fmt.Sprintf("a client has connected to %q", local)) // package net printed the address
	}
	return server.Member{Host: host, Port: number}
}
