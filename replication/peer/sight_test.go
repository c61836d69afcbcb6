package peer

import (
	"net"
	"testing"

	"raftcached/replication/identity"
)

// TestNoAnswerYet: there is a reason while the first attempt to connect is under way too:
// something listens where the peer is to be, and says nothing.
func TestNoAnswerYet(t *testing.T) {
	list := members(2)
	silent, err := net.Listen("tcp", address(list[1]))
	must(t, err)
	defer func() { _ = silent.Close() }() // nothing was accepted
	n := listen(t, list, 0, nil)
	for i := range list {
		list[i].DirectoryID = identity.DirectoryID{byte(i + 1)}
	}
	n.take(identity.Cluster{ID: 1, RaftID: 1, Members: list})
	if s := n.Sight(2); s.Connected || s.Since.IsZero() || s.Why != "no answer yet" {
		t.Errorf("seen is %+v", s)
	}
}
