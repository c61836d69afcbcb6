// Package zipf draws numbers with the skew of cache accesses: the share of a rank
// decreases with a power of the rank whose exponent is below 1.
//
// Read first: Distribution. Building one takes time proportional to the number of
// keys. It never changes: any number of goroutines may draw from it, each with its own
// random numbers.
package zipf

import (
	"math"
	"math/rand/v2"
)

// Distribution draws keys with YCSB's skew, by the method of Gray et al.,
// "Quickly generating billion-record synthetic databases" (SIGMOD '94), section
// 3.2. math/rand's Zipf needs an exponent above 1 and caches see less than that.
type Distribution struct {
	keys       int
	theta      float64
	alpha      float64
	zetan, eta float64

	// step distributes the popular keys over the whole range: the key of a rank is
	// rank*step modulo keys. Invariant: step and keys have no common divisor, so each
	// rank has a different key.
	step uint64
}

// New returns a distribution over keys keys. It sums up as many terms, so create one for
// each run, not for each thread. theta is from 0, which is uniform, to below 1.
func New(keys int, theta float64) *Distribution {
	d := &Distribution{keys: keys, theta: theta, step: max(1, uint64(0.618*float64(keys)))}
	for gcd(d.step, uint64(keys)) != 1 {
		d.step++
	}
	if theta == 0 {
		return d
	}
	for i := range keys {
		d.zetan += math.Pow(float64(i+1), -theta)
	}
	zeta2 := 1 + math.Pow(2, -theta)
	d.alpha = 1 / (1 - theta)
	d.eta = (1 - math.Pow(2/float64(keys), 1-theta)) / (1 - zeta2/d.zetan)
	return d
}

// Next returns a key from 0 to keys-1.
func (d *Distribution) Next(random *rand.Rand) int { return d.Key(d.NextRank(random)) }

// NextRank returns a rank from 0, the most popular, to keys-1.
func (d *Distribution) NextRank(random *rand.Rand) int {
	if d.theta == 0 {
		return random.IntN(d.keys)
	}
	return d.rank(random.Float64())
}

// Key returns the key that has a rank.
func (d *Distribution) Key(rank int) int { return int(uint64(rank) * d.step % uint64(d.keys)) }

// Share returns the share of a rank among the drawn numbers.
func (d *Distribution) Share(rank int) float64 {
	if d.theta == 0 {
		return 1 / float64(d.keys)
	}
	return math.Pow(float64(rank+1), -d.theta) / d.zetan
}

// rank returns the rank at point u of the distribution.
func (d *Distribution) rank(u float64) int {
	switch uz := u * d.zetan; {
	case uz < 1:
		return 0
	case uz < 1+math.Pow(0.5, d.theta):
		return min(1, d.keys-1)
	}
	return min(int(float64(d.keys)*math.Pow(d.eta*u-d.eta+1, d.alpha)), d.keys-1)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
