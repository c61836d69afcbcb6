package zipf

import (
	"math"
	"math/rand/v2"
	"testing"
)

// TestSkewIsAsAsked compares the shares of the most popular ranks with the
// distribution's formula: the first two separately, and growing groups of the next.
func TestSkewIsAsAsked(t *testing.T) {
	const keys, draws = 100_000, 2_000_000
	for _, theta := range []float64{0, 0.5, 0.8, 0.99} {
		d := New(keys, theta)
		random := rand.New(rand.NewPCG(1, 2))
		counts := make([]int, keys)
		for range draws {
			counts[d.NextRank(random)]++
		}
		share, drawn, upTo := 0.0, 0, 0
		for _, end := range []int{1, 2, 10, 100, 1000, 10_000, keys} {
			for ; upTo < end; upTo++ {
				share += d.Share(upTo)
				drawn += counts[upTo]
			}
			got := float64(drawn) / draws
			noise := 5 * math.Sqrt(share/draws) // five standard deviations
			if math.Abs(got-share) > 0.05*share+noise {
				t.Errorf("theta %v: the first %d ranks have a share of %.5f, want %.5f", theta, end, got, share)
			}
		}
	}
}

func TestEachRankHasAKeyOfItsOwn(t *testing.T) {
	for _, keys := range []int{1, 2, 7, 1000, 4096} {
		d := New(keys, 0.99)
		seen := make([]bool, keys)
		for rank := range keys {
			key := d.Key(rank)
			if seen[key] {
				t.Fatalf("%d keys: key %d has two ranks", keys, key)
			}
			seen[key] = true
		}
	}
}
