package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"

	"raftcached/internal/item"
)

// benchSizes are the numbers of items of the benchmarks.
var benchSizes = []int{10_000, 100_000, 1_000_000, 10_000_000}

const benchValueBytes = 100

// benchKey writes the 32-byte key numbered n.
func benchKey(key []byte, n uint64) []byte {
	key = append(key[:0], "benchmark-key-.................."...)
	binary.BigEndian.PutUint64(key[16:], n*0x9e3779b97f4a7c15)
	return key
}

// benchEngine returns an engine with n items, with room for twice as many.
func benchEngine(b *testing.B, n int) *Engine {
	e := newEngine(b, Limits{MemoryBytes: max(64<<20, int64(n)*400), ItemBytesMax: 1 << 20})
	op := Op{Kind: OpSet, Value: make([]byte, benchValueBytes)}
	var key, buf []byte
	for i := range n {
		key = benchKey(key, uint64(i))
		op.Key = key
		buf = AppendOp(buf[:0], &op)
		e.Apply(1, buf, false)
	}
	return e
}

func benchEach(b *testing.B, f func(b *testing.B, e *Engine, n int)) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			e := benchEngine(b, n)
			b.ReportAllocs()
			b.ResetTimer()
			f(b, e, n)
		})
	}
}

func BenchmarkGetHit(b *testing.B) {
	benchEach(b, func(b *testing.B, e *Engine, n int) {
		r, rng := e.NewReader(), rand.New(rand.NewPCG(1, 2))
		var key, dst []byte
		for b.Loop() {
			key = benchKey(key, rng.Uint64N(uint64(n)))
			var ok bool
			if dst, ok = r.View(dst[:0], key, appendItemValue); !ok {
				b.Fatal("miss")
			}
		}
	})
}

// BenchmarkGetHitNoted reads in another second each time: every read notes one.
func BenchmarkGetHitNoted(b *testing.B) {
	benchEach(b, func(b *testing.B, e *Engine, n int) {
		r, rng := e.NewReader(), rand.New(rand.NewPCG(1, 2))
		var key, dst []byte
		for second := int64(1); b.Loop(); second++ {
			key = benchKey(key, rng.Uint64N(uint64(n)))
			r.SetNow(second)
			var ok bool
			if dst, ok = r.View(dst[:0], key, appendItemValue); !ok {
				b.Fatal("miss")
			}
		}
	})
}

// BenchmarkGetHitPrepared reads 32 keys at a time; the figures are for one.
func BenchmarkGetHitPrepared(b *testing.B) {
	const batch = 32
	benchEach(b, func(b *testing.B, e *Engine, n int) {
		r, rng := e.NewReader(), rand.New(rand.NewPCG(1, 2))
		var dst []byte
		keys := make([][]byte, batch)
		for i := 0; b.Loop(); i++ {
			if i%batch == 0 {
				for k := range keys {
					keys[k] = benchKey(keys[k], rng.Uint64N(uint64(n)))
				}
				r.Prepare(keys)
			}
			var ok bool
			if dst, ok = r.View(dst[:0], keys[i%batch], appendItemValue); !ok {
				b.Fatal("miss")
			}
		}
	})
}

func BenchmarkGetMiss(b *testing.B) {
	benchEach(b, func(b *testing.B, e *Engine, n int) {
		r, rng := e.NewReader(), rand.New(rand.NewPCG(1, 2))
		var key, dst []byte
		for b.Loop() {
			key = benchKey(key, uint64(n)+rng.Uint64N(1<<40))
			if _, ok := r.View(dst, key, appendItemValue); ok {
				b.Fatal("hit")
			}
		}
	})
}

// BenchmarkSet overwrites.
func BenchmarkSet(b *testing.B) {
	benchEach(b, func(b *testing.B, e *Engine, n int) {
		benchmarkSets(b, e, func(rng *rand.Rand) uint64 { return rng.Uint64N(uint64(n)) })
	})
}

// BenchmarkSetEvicting stores new keys in a full cache.
func BenchmarkSetEvicting(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprintf("items=%d", n), func(b *testing.B) {
			e := newEngine(b, Limits{MemoryBytes: max(8<<20, int64(n)*152), ItemBytesMax: 1 << 20})
			next := uint64(0)
			op := Op{Kind: OpSet, Value: make([]byte, benchValueBytes)}
			for e.Stats().Evictions == 0 {
				op.Key = benchKey(nil, next)
				next++
				e.Apply(1, AppendOp(nil, &op), false)
			}
			b.ReportAllocs()
			b.ResetTimer()
			benchmarkSets(b, e, func(*rand.Rand) uint64 { next++; return next })
		})
	}
}

func benchmarkSets(b *testing.B, e *Engine, number func(*rand.Rand) uint64) {
	rng := rand.New(rand.NewPCG(1, 2))
	op := Op{Kind: OpSet, Value: make([]byte, benchValueBytes)}
	var key, buf []byte
	for b.Loop() {
		key = benchKey(key, number(rng))
		op.Key = key
		buf = AppendOp(buf[:0], &op)
		e.Apply(1, buf, false)
	}
}

// BenchmarkHotKey reads one key from as many goroutines as there are processors:
// with -cpu 1,2 it shows whether they get in each other's way.
func BenchmarkHotKey(b *testing.B) {
	e := benchEngine(b, 1000)
	b.RunParallel(func(pb *testing.PB) {
		r := e.NewReader()
		key := benchKey(nil, 7)
		var dst []byte
		for pb.Next() {
			dst, _ = r.View(dst[:0], key, appendItemValue)
		}
	})
}

// BenchmarkImage writes an image of a million items.
func BenchmarkImage(b *testing.B) {
	e := benchEngine(b, 1_000_000)
	var buf []byte
	for b.Loop() {
		size := int64(0)
		i := e.Image()
		for more := true; more; {
			var err error
			if buf, more, err = i.Next(buf[:0]); err != nil {
				b.Fatal(err)
			}
			size += int64(len(buf))
		}
		b.SetBytes(size)
	}
}

// BenchmarkRestore restores an image of a million items.
func BenchmarkRestore(b *testing.B) {
	e := benchEngine(b, 1_000_000)
	image := imageOf(b, e)
	b.SetBytes(int64(len(image)))
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Restore(bytes.NewReader(image)); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSubBatch applies a sub-batch and goes through its results.
func BenchmarkSubBatch(b *testing.B) {
	for _, c := range []struct {
		name  string
		op    Op
		count int
	}{
		{"one set", k(OpSet, "1"), 1},
		{"1000 sets", k(OpSet, "1"), 1000},
		{"1000 meta sets", with(OpSet, "1"), 1000},
		{"1000 gats", k(OpGat, ""), 1000},
	} {
		b.Run(c.name, func(b *testing.B) {
			e := newEngine(b, testLimits)
			one(b, e, k(OpSet, string(make([]byte, benchValueBytes))))
			var ops []byte
			for range c.count {
				ops = AppendOp(ops, &c.op)
			}
			b.ReportAllocs()
			plain := new(item.Result)
			for b.Loop() {
				results := e.Apply(c.count, ops, true)
				for r := range results.All(plain) {
					if r.Status == item.StatusMiss {
						b.Fatal("miss")
					}
				}
			}
		})
	}
}
