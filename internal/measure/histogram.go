package measure

import (
	"math/bits"
	"sync/atomic"
	"time"
)

// The buckets of a Histogram end at powers of two, so that finding one takes an
// instruction. Those of durations end at 4 us to 34 s, those of sizes at 1 byte to 8 MiB.
const (
	durationShift = 2
	bucketCount   = 25 // the last one has no end
)

// Histogram counts values by their size.
type Histogram struct {
	counts [bucketCount]atomic.Uint64
	sum    atomic.Uint64 // ns, or bytes
}

// AddDuration counts a duration n times.
func (h *Histogram) AddDuration(d time.Duration, n uint64) {
	ns := uint64(max(d, 1))
	// ns <= 1000 * 2^k, as the bounds of Prometheus include their value
	h.add(bits.Len64((ns-1)/1000>>durationShift), ns, n)
}

// AddSize counts a size in bytes n times.
func (h *Histogram) AddSize(bytes int, n uint64) {
	h.add(bits.Len64(uint64(max(bytes, 1)-1)), uint64(bytes), n)
}

// add has one writer at a time, so a load and a store are enough.
func (h *Histogram) add(bucket int, value, n uint64) {
	c := &h.counts[min(bucket, bucketCount-1)]
	c.Store(c.Load() + n)
	h.sum.Store(h.sum.Load() + n*value)
}

// Distribution is what histograms have counted together.
type Distribution struct {
	counts [bucketCount]uint64
	sum    uint64
}

// Include adds what a histogram has counted.
func (d *Distribution) Include(h *Histogram) {
	for i := range d.counts {
		d.counts[i] += h.counts[i].Load()
	}
	d.sum += h.sum.Load()
}

// Count is how many values there are.
func (d *Distribution) Count() (n uint64) {
	for _, c := range d.counts {
		n += c
	}
	return n
}

// Seconds is a distribution of durations as Prometheus has it: the sum in seconds, and how
// many values are at most as large as each bound.
func (d *Distribution) Seconds() (sum float64, buckets map[float64]uint64) {
	return float64(d.sum) / 1e9, d.upTo(func(i int) float64 { return float64(uint64(1)<<(i+durationShift)) / 1e6 })
}

// Bytes is that of sizes.
func (d *Distribution) Bytes() (sum float64, buckets map[float64]uint64) {
	return float64(d.sum), d.upTo(func(i int) float64 { return float64(uint64(1) << i) })
}

func (d *Distribution) upTo(bound func(i int) float64) map[float64]uint64 {
	buckets := make(map[float64]uint64, bucketCount-1)
	n := uint64(0)
	for i, c := range d.counts[:bucketCount-1] {
		n += c
		buckets[bound(i)] = n
	}
	return buckets
}

// Quantile is a bound that a part q of the durations is at most as long as; 0 if there are
// none. It is the end of a bucket: up to twice the true value.
func (d *Distribution) Quantile(q float64) time.Duration {
	want, n := q*float64(d.Count()), uint64(0)
	for i, c := range d.counts {
		if n += c; c > 0 && float64(n) >= want {
			return time.Microsecond << (i + durationShift)
		}
	}
	return 0
}
