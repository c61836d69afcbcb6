package hitratio

import (
	"math"
	"math/bits"
	"slices"
)

// never is the next use of a key that is not asked for again.
const never = math.MaxUint32

// Optimum returns how many requests of a run miss in a cache of capacity bytes that
// knows the future: it evicts the item whose next use is latest, even the item that
// was just set (Belady, "A study of replacement algorithms for a
// virtual-storage computer", 1966). For items of one size no cache misses less;
// for others this is a good cache, not a bound: the best is hard to compute.
//
// A miss is set immediately here, not at the end of a round. Also, this minimizes the
// misses including the warm-up. A cache that used the warm-up only to prepare could
// save one counted miss for each item that it holds at its end.
func Optimum(items Items, capacity int64, r Run) (misses int) {
	next := nextUses(r)
	// cached has the times of the next uses of the cached items. Each request has its
	// own time, so these identify the items.
	cached := newTimes(len(r.IDs))
	bytes := int64(0)
	for now, id := range r.IDs {
		size := items.itemBytes(id)
		if cached.remove(uint32(now)) {
			bytes -= size
		} else if now >= r.WarmUp {
			misses++
		}
		if next[now] == never {
			continue
		}
		cached.add(next[now])
		for bytes += size; bytes > capacity; {
			latest := cached.latest()
			cached.remove(latest)
			bytes -= items.itemBytes(r.IDs[latest])
		}
	}
	return misses
}

// nextUses returns for each request the time of the next one for the same key.
func nextUses(r Run) []uint32 {
	next := make([]uint32, len(r.IDs))
	upcoming := make([]uint32, r.KeyCount()) // by key
	for i := range upcoming {
		upcoming[i] = never
	}
	for now, id := range slices.Backward(r.IDs) {
		next[now] = upcoming[id]
		upcoming[id] = uint32(now)
	}
	return next
}

// times is a set of times below a limit. Level 0 has a bit for each time. Each higher
// level has a bit for each word of the level below that is not zero. The top level is
// one word, so the latest time is found in a few steps.
type times struct{ levels [][]uint64 }

func newTimes(limit int) *times {
	t := &times{}
	for words := limit; words > 1 || len(t.levels) == 0; {
		words = (words + 63) / 64
		t.levels = append(t.levels, make([]uint64, max(1, words)))
	}
	return t
}

func (t *times) add(time uint32) {
	for _, level := range t.levels {
		bit := uint64(1) << (time % 64)
		time /= 64
		level[time] |= bit
	}
}

// remove reports whether the time was in the set.
func (t *times) remove(time uint32) bool {
	if t.levels[0][time/64]&(1<<(time%64)) == 0 {
		return false
	}
	for _, level := range t.levels {
		bit := uint64(1) << (time % 64)
		time /= 64
		if level[time] &^= bit; level[time] != 0 {
			break
		}
	}
	return true
}

// latest returns the latest time of a set that is not empty.
func (t *times) latest() uint32 {
	time := uint32(0)
	for i := len(t.levels) - 1; i >= 0; i-- {
		time = time*64 + uint32(bits.Len64(t.levels[i][time])) - 1
	}
	return time
}
