//go:build linux

package bench

import (
	"math"
	"math/rand/v2"
)

// zipf draws keys with YCSB's skew, by the method of Gray et al., "Quickly
// generating billion-record synthetic databases" (SIGMOD '94), section 3.2.
// math/rand's Zipf needs an exponent above 1 and caches see less than that.
type zipf struct {
	keys       int
	theta      float64
	alpha      float64
	zetan, eta float64

	// step spreads the popular keys over the whole range: the key of a rank is
	// rank*step modulo keys. Invariant: step and keys have no common divisor, so
	// that each rank has a key of its own.
	step uint64
}

// newZipf sums up keys terms: make one for each run, not for each thread.
func newZipf(keys int, theta float64) *zipf {
	z := &zipf{keys: keys, theta: theta, step: max(1, uint64(0.618*float64(keys)))}
	for gcd(z.step, uint64(keys)) != 1 {
		z.step++
	}
	if theta == 0 {
		return z
	}
	for i := range keys {
		z.zetan += math.Pow(float64(i+1), -theta)
	}
	zeta2 := 1 + math.Pow(2, -theta)
	z.alpha = 1 / (1 - theta)
	z.eta = (1 - math.Pow(2/float64(keys), 1-theta)) / (1 - zeta2/z.zetan)
	return z
}

// next returns a key from 0 to keys-1.
func (z *zipf) next(random *rand.Rand) int {
	if z.theta == 0 {
		return random.IntN(z.keys)
	}
	rank := z.rank(random.Float64())
	return int(uint64(rank) * z.step % uint64(z.keys))
}

// rank returns the rank, 0 the most popular, at point u of the distribution.
func (z *zipf) rank(u float64) int {
	switch uz := u * z.zetan; {
	case uz < 1:
		return 0
	case uz < 1+math.Pow(0.5, z.theta):
		return min(1, z.keys-1)
	}
	return min(int(float64(z.keys)*math.Pow(z.eta*u-z.eta+1, z.alpha)), z.keys-1)
}

func gcd(a, b uint64) uint64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
