package hitratio

import "testing"

// TestReplicas: what one replica missed, all have in the next round; with room for
// everything they miss what an LRU with as much room misses, and they agree.
func TestReplicas(t *testing.T) {
	items := Items{ValueBytes: Mixed}
	c := newReplicas(t, items, 64<<20)
	for round, want := range []int{3, 0} {
		misses, err := c.Round([Nodes][]uint32{{uint32(round)}, {1 - uint32(round)}, {2}})
		if err != nil || misses != want {
			t.Fatalf("round %d: %d misses, %v; want %d", round, misses, err, want)
		}
	}
	run := NewRun(Trace{Keys: 1000, Theta: 0.8, OneHit: 0.1, Seed: 1}.Generate(10_000), 16, 1000)
	c = newReplicas(t, items, 64<<20)
	want := measure(t, NewLRU(items, 64<<20, run.KeyCount()), run)
	if got := measure(t, c, run); got != want {
		t.Errorf("%d misses, want %d", got, want)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
}

// TestReplicasEvict: a cache with little room stays within it, and its replicas
// still agree.
func TestReplicasEvict(t *testing.T) {
	items := Items{ValueBytes: 100}
	run := NewRun(Trace{Keys: testKeys, Theta: 0.8, Seed: 1}.Generate(60_000), 16, 0)
	c := newReplicas(t, items, testKeys/10*items.MeanBytes())
	misses := measure(t, c, run)
	if all := run.Measured(); misses < all/10 || misses > all*9/10 {
		t.Errorf("%d of %d requests missed, want some and not all", misses, all)
	}
	if err := c.Check(); err != nil {
		t.Error(err)
	}
	c.replicas[1].apply(c.nowMs, 1, appendSet(nil, []byte("k"), []byte("v")))
	if c.Check() == nil {
		t.Error("a replica has an item more, but they are said to agree")
	}
}

func newReplicas(t *testing.T, items Items, memoryBytes int64) *Replicas {
	t.Helper()
	c, err := NewReplicas(items, memoryBytes, 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}
