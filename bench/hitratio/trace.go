package hitratio

import (
	"fmt"
	"math/rand/v2"

	"raftcached/bench/zipf"
)

// Trace describes which keys are requested. A key is a number here; Items returns its
// bytes.
type Trace struct {
	Name   string
	Keys   int     // that are popular at any one time
	Theta  float64 // skew of their popularity, as in YCSB: 0 uniform to less than 1
	OneHit float64 // share of the requests for keys that occur only once
	Drift  float64 // share of the popular keys that are replaced during the trace
	Seed   uint64
}

// Traces returns the traces of the table. For each skew there are three: a steady one,
// one in which a fifth of the requests is for keys that occur once, and one in which
// half of the keys, including popular ones, are replaced one after the other.
func Traces(keys int, seed uint64) []Trace {
	var traces []Trace
	for _, theta := range []float64{0.8, 0.99} {
		name := fmt.Sprintf("zipf %.2f", theta)
		traces = append(traces,
			Trace{Name: name, Keys: keys, Theta: theta, Seed: seed},
			Trace{Name: name + ", one-hit wonders", Keys: keys, Theta: theta, OneHit: 0.2, Seed: seed},
			Trace{Name: name + ", drift", Keys: keys, Theta: theta, Drift: 0.5, Seed: seed})
	}
	return traces
}

// Generate returns the keys of all requests, in order. The first popular keys are 0 to
// t.Keys-1, scattered over the ranks. Each new key has the next number.
func (t Trace) Generate(requests int) []uint32 {
	distribution := zipf.New(t.Keys, t.Theta)
	random := rand.New(rand.NewPCG(t.Seed, 0))
	popular := make([]uint32, t.Keys) // by rank
	for rank := range popular {
		popular[rank] = uint32(distribution.Key(rank))
	}
	ids := make([]uint32, requests)
	fresh := uint32(t.Keys)
	replaced, perRequest := 0, t.Drift*float64(t.Keys)/float64(requests)
	for i := range ids {
		for ; float64(replaced) < float64(i)*perRequest; replaced++ {
			// Key is a permutation that spreads neighbours far apart, so at any
			// time the same share of every range of ranks was replaced.
			popular[distribution.Key(replaced)] = fresh
			fresh++
		}
		if t.OneHit > 0 && random.Float64() < t.OneHit {
			ids[i] = fresh
			fresh++
			continue
		}
		ids[i] = popular[distribution.NextRank(random)]
	}
	return ids
}
