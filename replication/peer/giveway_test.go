package peer

import (
	"errors"
	"strings"
	"testing"

	"raftcached/replication/identity"
)

// TestGiveWay: a lone server ends when another cluster looks for it with another folder,
// but not one that was recovered after that cluster was lost.
func TestGiveWay(t *testing.T) {
	for _, recovered := range []bool{false, true} {
		list := members(3)
		for i := range list {
			list[i].DirectoryID = identity.DirectoryID{byte(i + 11)}
		}
		other := identity.NewCluster(testConstants, list)
		want := "do not mix data folders"
		lone := listen(t, list[:1], 0, func(c *Config) {
			if recovered {
				c.Lost, want = []uint64{other.ID}, "was recovered as this one"
			}
		})
		own := list[0]
		own.DirectoryID = lone.config.DirectoryID
		lone.take(identity.NewCluster(testConstants, []identity.Member{own}))
		err := shake(t, lone.Addr(), &Hello{
			ClusterID: other.ID, ServerID: 1, RaftID: 2, DirectoryID: list[1].DirectoryID, Lineage: lineage(1),
			Stream: StreamControl, Constants: testConstants, Members: list,
		}, "")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("recovered %v: the other cluster's server is answered %v", recovered, err)
		}
		select {
		case err := <-lone.inbox.excluded:
			if _, is := errors.AsType[*OutdatedError](err); recovered || !is {
				t.Errorf("recovered %v: it ends: %v", recovered, err)
			}
		default: // it is told before the answer
			if !recovered {
				t.Error("it goes on beside its cluster")
			}
		}
	}
}
