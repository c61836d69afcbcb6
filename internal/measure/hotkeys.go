package measure

import (
	"cmp"
	"math"
	"slices"
	"sync"
	"time"
)

const (
	hotKeysKept = 256 // keys that are counted at a time

	// HotKeysMax is how many keys are shown.
	HotKeysMax = 32

	// hotHalfLife is after what time a request counts half as much: the rates are those of
	// the last minutes.
	hotHalfLife = time.Minute

	// hotSamplesMin is how many samples a key must have to be shown. With fewer nobody knows
	// whether it is hot.
	hotSamplesMin = 3
)

// HotKey is a key that is asked for often. Rates are estimates from samples.
type HotKey struct {
	Key    string  // any bytes
	Reads  float64 // a second
	Writes float64 // a second
}

// HotKeys finds the keys that are asked for most, in bounded memory: Space-Saving
// (Metwally et al., 2005) on samples, with counts that decay. A key that is more than
// 1/hotKeysKept of all is among the counted ones. A key that comes when all places are
// taken gets that of the rarest one, and how often that had come is what it may be
// overestimated by; that is subtracted, so that rates are at least as high as shown.
type HotKeys struct {
	mu     sync.Mutex
	counts map[string]*hotCount
	heap   []*hotCount   // by what they count, the rarest first
	time   time.Duration // of the last decay
	weight float64       // the seconds that the counts are of, decayed as they are
}

type hotCount struct {
	key           string
	reads, writes float64
	error         float64 // how much of them is another key's
	place         int     // in heap
}

func (c *hotCount) total() float64 { return c.reads + c.writes + c.error }

// NewHotKeys returns an empty sketch, at a time.
func NewHotKeys(now time.Duration) *HotKeys {
	return &HotKeys{counts: make(map[string]*hotCount, hotKeysKept), time: now}
}

// Add counts the samples that rings hold now, and returns how many there were.
func (h *HotKeys) Add(now time.Duration, rings ...*Ring) (taken uint64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.decay(now)
	for _, r := range rings {
		taken += r.Drain(h.count)
	}
	return taken
}

// decay makes older samples count less.
func (h *HotKeys) decay(now time.Duration) {
	passed := (now - h.time).Seconds()
	if passed <= 0 {
		return
	}
	h.time = now
	left := math.Exp2(-passed / hotHalfLife.Seconds())
	for _, c := range h.heap { // all by the same, so their order stays
		c.reads, c.writes, c.error = c.reads*left, c.writes*left, c.error*left
	}
	// The integral of what a second counts for by now.
	h.weight = h.weight*left + (1-left)*hotHalfLife.Seconds()/math.Ln2
}

// count counts n samples of a key.
func (h *HotKeys) count(key []byte, writes bool, n float64) {
	c := h.counts[string(key)]
	switch {
	case c != nil:
	case len(h.heap) < hotKeysKept:
		c = &hotCount{key: string(key), place: len(h.heap)}
		h.heap = append(h.heap, c)
		h.counts[c.key] = c
		h.up(c)
	default:
		c = h.heap[0]
		delete(h.counts, c.key)
		c.error, c.reads, c.writes = c.total(), 0, 0
		c.key = string(key)
		h.counts[c.key] = c
	}
	if writes {
		c.writes += n
	} else {
		c.reads += n
	}
	h.down(c)
}

// up moves a count towards the root of the heap, down away from it.
func (h *HotKeys) up(c *hotCount) {
	for c.place > 0 {
		parent := h.heap[(c.place-1)/2]
		if parent.total() <= c.total() {
			return
		}
		h.swap(c, parent)
	}
}

func (h *HotKeys) down(c *hotCount) {
	for {
		child := 2*c.place + 1
		if child >= len(h.heap) {
			return
		}
		if child+1 < len(h.heap) && h.heap[child+1].total() < h.heap[child].total() {
			child++
		}
		if c.total() <= h.heap[child].total() {
			return
		}
		h.swap(c, h.heap[child])
	}
}

func (h *HotKeys) swap(a, b *hotCount) {
	a.place, b.place = b.place, a.place
	h.heap[a.place], h.heap[b.place] = a, b
}

// Top returns the keys that are asked for most, the first one most.
func (h *HotKeys) Top(now time.Duration) []HotKey {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.decay(now)
	var top []HotKey
	for _, c := range h.heap {
		if c.reads+c.writes >= hotSamplesMin && h.weight > 0 {
			each := SampleEvery / h.weight
			top = append(top, HotKey{Key: c.key, Reads: c.reads * each, Writes: c.writes * each})
		}
	}
	slices.SortFunc(top, func(a, b HotKey) int {
		return cmp.Or(cmp.Compare(b.Reads+b.Writes, a.Reads+a.Writes), cmp.Compare(a.Key, b.Key))
	})
	return top[:min(len(top), HotKeysMax)]
}
