package hitratio

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
)

// measure returns the misses of a run without its warm-up.
func measure(t *testing.T, c Cache, r Run) int {
	t.Helper()
	misses, err := Measure(context.Background(), c, r)
	if err != nil {
		t.Fatal(err)
	}
	return misses
}

// naiveLRU is a list, oldest first.
type naiveLRU struct {
	items    Items
	capacity int64
	list     []uint32
}

func (c *naiveLRU) use(id uint32) (hit bool) {
	at := slices.Index(c.list, id)
	if at >= 0 {
		c.list = append(slices.Delete(c.list, at, at+1), id)
	}
	return at >= 0
}

func (c *naiveLRU) Round(batches [Nodes][]uint32) (misses int, err error) {
	var missed []uint32
	for _, id := range slices.Concat(batches[:]...) {
		if !c.use(id) {
			missed = append(missed, id)
		}
	}
	for _, id := range missed {
		if c.use(id) || c.items.itemBytes(id) > c.capacity {
			continue
		}
		c.list = append(c.list, id)
		for c.bytes() > c.capacity {
			c.list = c.list[1:]
		}
	}
	return len(missed), nil
}

func (c *naiveLRU) bytes() (sum int64) {
	for _, id := range c.list {
		sum += c.items.itemBytes(id)
	}
	return sum
}

func TestLRUIsLikeANaiveOne(t *testing.T) {
	for _, items := range []Items{{ValueBytes: 100}, {ValueBytes: Mixed}} {
		for _, slots := range []int64{0, 1, 3, 30, 1000} {
			for _, batch := range []int{1, 4} {
				ids := Trace{Keys: 100, Theta: 0.8, OneHit: 0.1, Drift: 0.5, Seed: uint64(slots)}.Generate(3000)
				run := NewRun(ids, batch, 0)
				capacity := slots * items.MeanBytes()
				want := measure(t, &naiveLRU{items: items, capacity: capacity}, run)
				if got := measure(t, NewLRU(items, capacity, run.KeyCount()), run); got != want {
					t.Errorf("%+v, room for %d, batches of %d: %d misses, want %d", items, slots, batch, got, want)
				}
			}
		}
	}
}

// fewestMisses tries every choice of what to evict, or not to cache, at every
// miss.
func fewestMisses(ids []uint32, cached []uint32, slots int) int {
	if len(ids) == 0 {
		return 0
	}
	id, rest := ids[0], ids[1:]
	if slices.Contains(cached, id) {
		return fewestMisses(rest, cached, slots)
	}
	if len(cached) < slots {
		return 1 + fewestMisses(rest, append(slices.Clone(cached), id), slots)
	}
	fewest := fewestMisses(rest, cached, slots)
	for i := range cached {
		other := slices.Clone(cached)
		other[i] = id
		fewest = min(fewest, fewestMisses(rest, other, slots))
	}
	return 1 + fewest
}

func TestOptimumIsWhatBruteForceFinds(t *testing.T) {
	const seed = 1
	random := rand.New(rand.NewPCG(seed, 0))
	items := Items{ValueBytes: 100}
	for i := range 500 {
		ids := make([]uint32, 1+random.IntN(12))
		for at := range ids {
			ids[at] = random.Uint32N(5)
		}
		slots := random.IntN(4)
		want := fewestMisses(ids, nil, slots)
		if got := Optimum(items, int64(slots)*items.MeanBytes(), Run{IDs: ids}); got != want {
			t.Fatalf("trace %d of seed %d, %v with room for %d: %d misses, want %d", i, seed, ids, slots, got, want)
		}
	}
}

// TestOptimumIsNoWorseThanLRU holds for batches of one request, for which the
// optimum is a bound if all items are of one size.
func TestOptimumIsNoWorseThanLRU(t *testing.T) {
	for _, items := range []Items{{ValueBytes: 100}, {ValueBytes: Mixed}} {
		for _, trace := range Traces(testKeys, 1) {
			for _, share := range []int64{100, 10} {
				run := NewRun(trace.Generate(60_000), 1, 20_000)
				capacity := testKeys / share * items.MeanBytes()
				lru := measure(t, NewLRU(items, capacity, run.KeyCount()), run)
				if optimum := Optimum(items, capacity, run); optimum > lru || optimum == 0 {
					t.Errorf("%s, room for 1/%d: the optimum has %d misses, LRU %d", trace.Name, share, optimum, lru)
				}
			}
		}
	}
}

// TestWarmUpDoesNotCount: with room for everything each key misses once.
func TestWarmUpDoesNotCount(t *testing.T) {
	items := Items{ValueBytes: 100}
	ids := []uint32{0, 1, 2, 0, 1, 3, 3, 4, 0}
	run := NewRun(ids, 1, 5) // rounded to the round of three
	if run.WarmUp != 3 || run.Measured() != 6 {
		t.Fatalf("run of %d requests, %d count; want 9 and 6", len(run.IDs), run.Measured())
	}
	if misses := measure(t, NewLRU(items, 1<<20, 5), run); misses != 2 {
		t.Errorf("LRU has %d misses, want keys 3 and 4 to miss", misses)
	}
	if misses := Optimum(items, 1<<20, run); misses != 2 {
		t.Errorf("the optimum has %d misses, want keys 3 and 4 to miss", misses)
	}
}

// TestTimes compares the set with a map.
func TestTimes(t *testing.T) {
	for _, limit := range []int{1, 64, 65, 5000} {
		random := rand.New(rand.NewPCG(uint64(limit), 0))
		set, want := newTimes(limit), map[uint32]bool{}
		for range 10_000 {
			time := random.Uint32N(uint32(limit))
			if random.IntN(3) == 0 {
				set.add(time)
				want[time] = true
			} else if had := set.remove(time); had != want[time] {
				t.Fatalf("limit %d: remove %d reports %v", limit, time, had)
			} else {
				delete(want, time)
			}
			latest := uint32(0)
			for time := range want {
				latest = max(latest, time)
			}
			if len(want) > 0 && set.latest() != latest {
				t.Fatalf("limit %d: latest is %d, want %d", limit, set.latest(), latest)
			}
		}
	}
}
