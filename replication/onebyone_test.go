package replication

import (
	"fmt"
	"testing"
)

// TestOneByOne: all nodes notice when each write is committed before the next one comes, and at
// once when writes come together.
func TestOneByOne(t *testing.T) {
	r := newRig(t, 3, LeasesOff, 0)
	leader := r.elect()
	agree := func(what string, want bool) {
		t.Helper()
		r.run(simTick)
		for _, n := range r.nodes {
			if got := n.machine.core.oneByOne >= oneByOneMin; got != want {
				t.Errorf("%s: node %d: one by one: %v (%d)", what, n.id, got, n.machine.core.oneByOne)
			}
		}
	}
	for i := range oneByOneMin {
		leader.set(fmt.Sprint("k", i))
		r.run(simTick)
	}
	agree("one client", true)
	if leader.machine.core.Ready(&leader.eff); !leader.eff.OneByOne {
		t.Error("the effects do not tell")
	}
	// Two whose entries are under way at once.
	r.hold = func(m *rigMail) bool { return true }
	leader.set("a")
	leader.set("b")
	r.hold = nil
	r.deliver()
	agree("two clients", false)
}
