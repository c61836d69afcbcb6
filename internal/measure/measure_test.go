package measure

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

func TestHistogramBounds(t *testing.T) {
	for _, c := range []struct {
		took time.Duration
		want float64 // the least bound that it is within, in seconds
	}{
		{0, 4e-6},
		{4 * time.Microsecond, 4e-6},
		{4*time.Microsecond + 1, 8e-6},
		{time.Millisecond, 0.001024},
		{1024 * time.Microsecond, 0.001024},
		{1024*time.Microsecond + 1, 0.002048},
		{33 * time.Second, 33.554432},
		{time.Hour, math.Inf(1)},
	} {
		var h Histogram
		h.AddDuration(c.took, 3)
		var d Distribution
		d.Include(&h)
		sum, buckets := d.Seconds()
		least := math.Inf(1)
		for bound, n := range buckets {
			if n == 3 {
				least = min(least, bound)
			} else if n != 0 {
				t.Errorf("%v: %d within %v", c.took, n, bound)
			}
		}
		if least != c.want || d.Count() != 3 || math.Abs(sum-3*max(c.took, 1).Seconds()) > 1e-9 {
			t.Errorf("%v is within %v, want %v; count %d, sum %v", c.took, least, c.want, d.Count(), sum)
		}
	}
	var sizes Histogram
	for _, n := range []int{0, 1, 2, 3, 1 << 20, 1<<20 + 1, 8 << 20} {
		sizes.AddSize(n, 1)
	}
	var d Distribution
	d.Include(&sizes)
	_, buckets := d.Bytes()
	for bound, want := range map[float64]uint64{1: 2, 2: 3, 4: 4, 1 << 20: 5, 1 << 21: 6, 8 << 20: 7} {
		if buckets[bound] != want {
			t.Errorf("%d sizes up to %v, want %d", buckets[bound], bound, want)
		}
	}
}

func TestQuantiles(t *testing.T) {
	var h Histogram
	h.AddDuration(10*time.Microsecond, 98)
	h.AddDuration(10*time.Millisecond, 2)
	var d Distribution
	if got := d.Quantile(0.5); got != 0 {
		t.Errorf("the median of nothing is %v", got)
	}
	d.Include(&h)
	for q, want := range map[float64]time.Duration{0.5: 16 * time.Microsecond, 0.98: 16 * time.Microsecond, 0.99: 16384 * time.Microsecond, 1: 16384 * time.Microsecond} {
		if got := d.Quantile(q); got != want {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
}

// TestHotKeysAreFound samples keys of a Zipf distribution, of which there are many times
// more than are counted: the most frequent ones are found, with their rates.
func TestHotKeysAreFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	zipf := rand.NewZipf(rng, 1.1, 1, 1<<20)
	h, ring := NewHotKeys(0), new(Ring)
	const perSecond, seconds = 2000, 300 // samples
	counts := map[string]int{}
	now := time.Duration(0)
	for i := range perSecond * seconds {
		key := fmt.Sprint("key", zipf.Uint64())
		if i >= perSecond*(seconds-60) {
			counts[key]++
		}
		ring.Put([]byte(key), i%4 == 0)
		if i%100 == 99 {
			now += time.Second * 100 / perSecond
			h.Add(now, ring)
		}
	}
	top := h.Top(now)
	if len(top) != HotKeysMax {
		t.Fatalf("%d keys are told, want %d", len(top), HotKeysMax)
	}
	for i := range 10 {
		k := top[i]
		want := float64(counts[fmt.Sprint("key", i)]) * SampleEvery / 60
		if got := k.Reads + k.Writes; k.Key != fmt.Sprint("key", i) && want > 1.1*float64(counts[k.Key])*SampleEvery/60 ||
			math.Abs(got-float64(counts[k.Key])*SampleEvery/60) > 0.25*got {
			t.Errorf("%d: %q with %.0f a second, want key%d with %.0f", i, k.Key, got, i, want)
		}
		if share := k.Writes / (k.Reads + k.Writes); share < 0.2 || share > 0.3 {
			t.Errorf("%q: %.2f are writes, want a quarter", k.Key, share)
		}
	}
	if len(h.heap) != hotKeysKept || len(h.counts) != hotKeysKept {
		t.Errorf("%d keys are counted, want %d", len(h.heap), hotKeysKept)
	}
	h.checkHeap(t)
}

func (h *HotKeys) checkHeap(t *testing.T) {
	t.Helper()
	for i, c := range h.heap {
		if c.place != i || h.counts[c.key] != c || i > 0 && h.heap[(i-1)/2].total() > c.total()*(1+1e-9) {
			t.Fatalf("entry %d of the heap is out of place: %+v", i, c)
		}
	}
}

// TestRareKeysAreNotHot: keys that come once take each other's places, and none is told with
// what the others have counted.
func TestRareKeysAreNotHot(t *testing.T) {
	h, ring := NewHotKeys(0), new(Ring)
	for i := range 100 * hotKeysKept {
		ring.Put(fmt.Appendf(nil, "key%d", i), false)
		h.Add(time.Duration(i)*time.Millisecond, ring)
	}
	if top := h.Top(time.Minute); len(top) != 0 {
		t.Errorf("hot are %v", top)
	}
	h.checkHeap(t)
}

// TestHotKeysForget: what is asked for no more is hot for some minutes.
func TestHotKeysForget(t *testing.T) {
	h, ring := NewHotKeys(0), new(Ring)
	for now := time.Second; now <= time.Minute; now += time.Second {
		for range 100 {
			ring.Put([]byte("old"), false)
		}
		h.Add(now, ring)
	}
	rate := h.Top(time.Minute)[0].Reads
	if math.Abs(rate-100*SampleEvery) > 0.02*rate {
		t.Errorf("%.0f a second, want %d", rate, 100*SampleEvery)
	}
	for _, later := range []time.Duration{2 * time.Minute, 3 * time.Minute} {
		next := h.Top(later)[0].Reads
		if next > 0.7*rate {
			t.Errorf("%.0f a second a minute later, before it were %.0f", next, rate)
		}
		rate = next
	}
	if top := h.Top(time.Hour); len(top) != 0 {
		t.Errorf("after an hour there are %v", top)
	}
}

// TestRingMakesUpForWhatItLoses: samples that find no room are spread over those that did.
func TestRingMakesUpForWhatItLoses(t *testing.T) {
	ring := new(Ring)
	if !ring.Put([]byte("a"), true) || ring.Put([]byte("a"), false) {
		t.Error("the first sample wakes, the second does not")
	}
	for range 3*ringSamples - 2 {
		ring.Put([]byte("a"), false)
	}
	sum := 0.0
	if n := ring.Drain(func(key []byte, _ bool, n float64) {
		if string(key) != "a" {
			t.Fatalf("key %q", key)
		}
		sum += n
	}); n != ringSamples || math.Abs(sum-3*ringSamples) > 1e-6 {
		t.Errorf("%d samples count for %v, want %d for %d", n, sum, ringSamples, 3*ringSamples)
	}
	long := strings.Repeat("x", KeyBytesMax)
	ring.Put([]byte(long), false)
	ring.Drain(func(key []byte, _ bool, _ float64) {
		if string(key) != long {
			t.Errorf("a key of %d bytes comes as %d", len(long), len(key))
		}
	})
}

// TestRingAcrossGoroutines is for the race detector: one goroutine puts, one drains.
func TestRingAcrossGoroutines(t *testing.T) {
	ring, h := new(Ring), NewHotKeys(0)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := range 20_000 {
			ring.Put([]byte("key"), i%2 == 0)
		}
	}()
	for running := true; running; {
		select {
		case <-done:
			running = false
		default:
		}
		h.Add(time.Second, ring)
	}
	if top := h.Top(time.Second); len(top) != 1 || top[0].Key != "key" {
		t.Errorf("hot are %v", top)
	}
}

func TestSlowLogKeepsTheLast(t *testing.T) {
	var l SlowLog
	for i := range SlowMax + 10 {
		l.Add(&Slow{}, fmt.Append(nil, i))
		list, seen := l.List()
		if want := min(i+1, SlowMax); len(list) != want || seen != uint64(i+1) || list[0].Key != fmt.Sprint(i) || list[want-1].Key != fmt.Sprint(i+1-want) {
			t.Fatalf("after %d: %d are kept of %d, from %q to %q", i+1, len(list), seen, list[0].Key, list[len(list)-1].Key)
		}
	}
	l.Skip(5)
	l.Add(&Slow{}, []byte("last"))
	if list, seen := l.List(); seen != SlowMax+16 || list[0].Key != "last" || list[1].Key != fmt.Sprint(SlowMax+9) {
		t.Errorf("after some that are only counted %d were seen, the last are %q and %q", seen, list[0].Key, list[1].Key)
	}
}

func TestSpells(t *testing.T) {
	var s Spells
	s.Add(0, time.Millisecond) // too short
	s.Add(10*time.Millisecond, 20*time.Millisecond)
	s.Begin(30 * time.Millisecond)
	s.Begin(35 * time.Millisecond)
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	within := func(from, to, want int) {
		t.Helper()
		if got := s.Within(ms(from), ms(to)); got != ms(want) {
			t.Errorf("from %d to %d ms it lasted %v, want %d ms", from, to, got, want)
		}
	}
	within(0, 40, 20)
	within(15, 32, 7)
	s.BeganAt(28 * time.Millisecond)
	s.BeganAt(29 * time.Millisecond)
	within(0, 40, 22)
	s.End(50 * time.Millisecond)
	s.End(60 * time.Millisecond)
	within(0, 100, 32)
	within(50, 100, 0)
	for i := range spellsKept {
		s.Add(ms(1000+10*i), ms(1005+10*i))
	}
	within(0, 1000, 0)
	within(1000, 1010, 5)
}
