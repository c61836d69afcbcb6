//go:build !race

// The race detector drops pooled decoders at random.

package replication

import (
	"testing"

	"raftcached/engine"

	pb "go.etcd.io/raft/v3/raftpb"
)

func TestGateAllocatesNothing(t *testing.T) {
	g := newGateBench()
	hash := engine.HashKey([]byte("a"))
	eff := &Effects{Lease: g.lease, Append: []*pb.Message{{Entries: []*pb.Entry{gateEntry(101, 5, gateSet("a"), gateSet("b"))}}}}
	if n := testing.AllocsPerRun(100, func() {
		if _, leased := g.Leased(); leased && g.Look(hash).DueMs == 0 {
			t.Fatal("nothing is under way")
		}
	}); n != 0 {
		t.Errorf("a read allocates %v times", n)
	}
	if n := testing.AllocsPerRun(100, func() { g.publish(eff) }); n != 0 {
		t.Errorf("marking allocates %v times", n)
	}
}
