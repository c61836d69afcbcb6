package replication

import (
	"testing"
	"time"
)

// backUp asks nodes for snapshots, now and then, as Replica.Snapshot does. Whoever is
// answered finds one on the node's disk that has all that the node had applied; that
// it is the state at its index simChecker sees. answered counts them.
func (s *simulation) backUp(answered *int) {
	s.after(time.Duration(s.rng.IntN(200))*time.Millisecond, func() {
		if s.model.stopped {
			return
		}
		n := s.nodes[s.rng.IntN(len(s.nodes))]
		if n.up && !n.paused {
			index := max(1, n.machine.applier.st.index)
			n.putApply(applyInput{kind: applyTake, index: 1, reply: func(err error) {
				if err != nil {
					s.failf("node %d gives no snapshot of %d: %v", n.id, index, err)
				}
				list, err := n.store.List()
				if err != nil || len(list) == 0 || list[0].GetIndex() < index {
					s.failf("node %d has no snapshot of %d but %v, %v", n.id, index, list, err)
				}
				*answered++
			}})
		}
		s.backUp(answered)
	})
}

// TestSimulatedBackups takes snapshots for backups while everything goes wrong.
func TestSimulatedBackups(t *testing.T) {
	eachSeed(t, "", 3, func(t *testing.T, s *simulation) {
		answered := 0
		s.setUp()
		s.addClients(4)
		s.backUp(&answered)
		s.chaos(s.now + 6*time.Second)
		s.runUntil(s.now + 6*time.Second)
		s.settle()
		t.Logf("%d backups, %+v", answered, s.stats)
		if answered < 5 || s.stats.acked < 30 {
			t.Fatalf("covered too little: %d backups, %+v", answered, s.stats)
		}
	})
}
