package hitratio

import (
	"maps"
	"math"
	"slices"
	"testing"

	"raftcached/bench/zipf"
)

const testKeys, testRequests = 10_000, 600_000

// counts returns how often each key comes.
func counts(ids []uint32) map[uint32]int {
	times := map[uint32]int{}
	for _, id := range ids {
		times[id]++
	}
	return times
}

// hottest returns the n keys that come most often.
func hottest(ids []uint32, n int) []uint32 {
	times := counts(ids)
	sorted := slices.SortedFunc(maps.Keys(times), func(a, b uint32) int { return times[b] - times[a] })
	return sorted[:n]
}

func TestSameSeedSameTrace(t *testing.T) {
	for _, trace := range Traces(testKeys, 7) {
		first := trace.Generate(10_000)
		if !slices.Equal(first, trace.Generate(10_000)) {
			t.Errorf("%s: two traces of one seed differ", trace.Name)
		}
		trace.Seed++
		if slices.Equal(first, trace.Generate(10_000)) {
			t.Errorf("%s: another seed gives the same trace", trace.Name)
		}
	}
}

// TestPopularityIsZipf counts how often the keys of the first ranks come.
func TestPopularityIsZipf(t *testing.T) {
	for _, theta := range []float64{0.8, 0.99} {
		distribution := zipf.New(testKeys, theta)
		times := counts(Trace{Keys: testKeys, Theta: theta, Seed: 1}.Generate(testRequests))
		share, drawn := 0.0, 0
		for rank := range 1000 {
			share += distribution.Share(rank)
			drawn += times[uint32(distribution.Key(rank))]
			got := float64(drawn) / testRequests
			noise := 5 * math.Sqrt(share/testRequests) // five standard deviations
			if math.Abs(got-share) > 0.05*share+noise {
				t.Fatalf("theta %v: the first %d ranks have a share of %.5f, want %.5f", theta, rank+1, got, share)
			}
		}
	}
}

// TestOneHitWondersComeOnce: keys beyond the popular ones have the share that was
// asked for, and none comes twice.
func TestOneHitWondersComeOnce(t *testing.T) {
	ids := Trace{Keys: testKeys, Theta: 0.99, OneHit: 0.2, Seed: 1}.Generate(testRequests)
	wonders := 0
	for id, times := range counts(ids) {
		if id < testKeys {
			continue
		}
		if wonders++; times > 1 {
			t.Fatalf("key %d comes %d times", id, times)
		}
	}
	if share := float64(wonders) / testRequests; math.Abs(share-0.2) > 0.005 {
		t.Errorf("one-hit wonders have a share of %.4f, want 0.2", share)
	}
}

// TestDriftReplacesHalfOfTheHotKeys compares the hundred keys that come most often
// in the first and in the last tenth of a trace. Between the middles of these
// tenths nine tenths of the drift happen.
func TestDriftReplacesHalfOfTheHotKeys(t *testing.T) {
	const hot = 100
	for _, c := range []struct {
		drift    float64
		min, max int
	}{{0, 0, 15}, {0.5, 35, 60}, {1, 80, 100}} {
		ids := Trace{Keys: testKeys, Theta: 0.99, Drift: c.drift, Seed: 1}.Generate(testRequests)
		last := hottest(ids[testRequests*9/10:], hot)
		gone := 0
		for _, id := range hottest(ids[:testRequests/10], hot) {
			if !slices.Contains(last, id) {
				gone++
			}
		}
		if gone < c.min || gone > c.max {
			t.Errorf("drift %v: %d of the %d hottest keys are gone at the end, want %d to %d", c.drift, gone, hot, c.min, c.max)
		}
	}
}

// TestDriftIsSteady counts the keys that are new in each quarter of a trace.
func TestDriftIsSteady(t *testing.T) {
	ids := Trace{Keys: testKeys, Theta: 0, Drift: 0.5, Seed: 1}.Generate(testRequests)
	highest := uint32(testKeys - 1)
	for quarter := range 4 {
		latest := slices.Max(ids[quarter*testRequests/4 : (quarter+1)*testRequests/4])
		if replaced := latest - highest; replaced < 1200 || replaced > 1300 {
			t.Errorf("quarter %d replaces %d of %d keys, want an eighth", quarter, replaced, testKeys)
		}
		highest = latest
	}
}

func TestItems(t *testing.T) {
	fixed, mixed := Items{ValueBytes: 100}, Items{ValueBytes: Mixed}
	seen := map[string]bool{}
	sum := 0
	for id := range uint32(testKeys) {
		key := string(fixed.appendKey(nil, id))
		if len(key) != KeyBytes || seen[key] || key != string(mixed.appendKey(nil, id)) {
			t.Fatalf("key %d is %q: want %d bytes, the same every time and no other key's", id, key, KeyBytes)
		}
		seen[key] = true
		if n := len(fixed.value(id)); n != 100 || fixed.itemBytes(id) != fixed.MeanBytes() {
			t.Fatalf("value of key %d has %d bytes, want 100", id, n)
		}
		n := len(mixed.value(id))
		if sum += n; n < mixedBytesMin || n > mixedBytesMax {
			t.Fatalf("value of key %d has %d bytes, want %d to %d", id, n, mixedBytesMin, mixedBytesMax)
		}
	}
	if mean := sum / testKeys; mean < 515 || mean > 535 {
		t.Errorf("mixed values have %d bytes on average, want about 525", mean)
	}
	for _, bytes := range []int{-2, 0, valueBytesMax + 1} {
		if (Items{ValueBytes: bytes}).Check() == nil {
			t.Errorf("values of %d bytes pass the check", bytes)
		}
	}
}
