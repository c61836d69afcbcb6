//go:build linux

package bench

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"sync/atomic"

	"raftcached/bench/zipf"
)

// Workload is what the connections send.
type Workload struct {
	Conns      int     // connections to one target
	Depth      int     // requests in a burst
	GetRatio   float64 // share of gets, 0 to 1; the rest are sets
	Keys       int     // number of different keys
	Theta      float64 // skew of the keys, as in YCSB: 0 uniform, 0.99 usual
	KeyBytes   int     // length of every key
	ValueBytes int     // length of every value
	Threads    int     // of the generator
	Seed       uint64  // of the random numbers

	// Rate is how many requests a second are due, whether or not earlier ones were
	// answered; 0: as many as are answered. Latency is from when a request was due.
	Rate float64
}

// DefaultWorkload holds the defaults of the flags.
var DefaultWorkload = Workload{
	Conns: 50, Depth: 1, GetRatio: 0.9, Keys: 100_000, Theta: 0.99,
	KeyBytes: 16, ValueBytes: 100, Threads: 1, Seed: 1,
}

// Check reports a workload that cannot be run.
func (w Workload) Check() error {
	switch {
	case w.Conns < 1 || w.Depth < 1 || w.Threads < 1 || w.Keys < 1:
		return fmt.Errorf("check workload: conns, depth, threads and keys must be 1 or more")
	case w.GetRatio < 0 || w.GetRatio > 1:
		return fmt.Errorf("check workload: share of gets is %v, want 0 to 1", w.GetRatio)
	case w.Theta < 0 || w.Theta >= 1:
		return fmt.Errorf("check workload: skew is %v, want 0 to less than 1", w.Theta)
	case w.KeyBytes < len(strconv.Itoa(w.Keys))+1 || w.KeyBytes > 250:
		return fmt.Errorf("check workload: %d keys do not fit in %d bytes each", w.Keys, w.KeyBytes)
	case w.Rate < 0:
		return fmt.Errorf("check workload: %v requests a second", w.Rate)
	case w.ValueBytes < 0:
		return fmt.Errorf("check workload: value of %d bytes", w.ValueBytes)
	}
	return nil
}

// source generates requests. next appends one to dst and reports whether it is a get;
// ok is false if there are no more.
type source interface {
	next(dst []byte) (_ []byte, isGet, ok bool)
}

// requests encodes requests. The sources share it.
type requests struct {
	keyBytes                           int
	getHead, getTail, setHead, setTail []byte // before and after the key
}

func newRequests(w Workload, d Dialect) requests {
	value := make([]byte, w.ValueBytes)
	for i := range value {
		value[i] = 'a' + byte(i%26)
	}
	if d == Memcached {
		return requests{
			keyBytes: w.KeyBytes,
			getHead:  []byte("get "), getTail: []byte("\r\n"),
			setHead: []byte("set "), setTail: fmt.Appendf(nil, " 0 0 %d\r\n%s\r\n", w.ValueBytes, value),
		}
	}
	return requests{
		keyBytes: w.KeyBytes,
		getHead:  fmt.Appendf(nil, "*2\r\n$3\r\nGET\r\n$%d\r\n", w.KeyBytes), getTail: []byte("\r\n"),
		setHead: fmt.Appendf(nil, "*3\r\n$3\r\nSET\r\n$%d\r\n", w.KeyBytes), setTail: fmt.Appendf(nil, "\r\n$%d\r\n%s\r\n", w.ValueBytes, value),
	}
}

func (r *requests) appendGet(dst []byte, key int) []byte {
	return append(r.appendKey(append(dst, r.getHead...), key), r.getTail...)
}

func (r *requests) appendSet(dst []byte, key int) []byte {
	return append(r.appendKey(append(dst, r.setHead...), key), r.setTail...)
}

// appendKey appends "k" and the number, padded with zeros.
func (r *requests) appendKey(dst []byte, key int) []byte {
	start := len(dst)
	for range r.keyBytes {
		dst = append(dst, '0')
	}
	for at := len(dst) - 1; key > 0; at-- {
		dst[at] = '0' + byte(key%10)
		key /= 10
	}
	dst[start] = 'k'
	return dst
}

// mixed is the endless source of a measurement.
type mixed struct {
	requests
	random   *rand.Rand
	keys     *zipf.Distribution
	getRatio float64
}

func (m *mixed) next(dst []byte) (_ []byte, isGet, ok bool) {
	key := m.keys.Next(m.random)
	if m.random.Float64() < m.getRatio {
		return m.appendGet(dst, key), true, true
	}
	return m.appendSet(dst, key), false, true
}

// filling is the source that sets each key once. Several threads share taken.
type filling struct {
	requests
	taken *atomic.Int64
	keys  int64
}

func (f *filling) next(dst []byte) (_ []byte, isGet, ok bool) {
	key := f.taken.Add(1) - 1
	if key >= f.keys {
		return dst, false, false
	}
	return f.appendSet(dst, int(key)), false, true
}
