package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// TestAdversary applies logs that are hard on the engine to engines that have
// little in common: their layouts of memory, the limits that they were started
// with, when they write images and restore them, how long readers stay. Items are
// of a few bytes to half of the limit, which is raised and lowered, and times of
// all kinds. Digests are equal after every entry, and no operation evicts or
// moves more than its size allows.
func TestAdversary(t *testing.T) {
	skipUnderRace(t)
	const logs, entries = 4, 8
	for seed := range uint64(logs) {
		a := newAdversary(t, seed)
		for range entries {
			a.entry()
		}
		a.end()
	}
}

type adversary struct {
	t       *testing.T
	seed    uint64
	rng     *rand.Rand
	engines []*Engine
	images  []*Image
	bytes   [][]byte // of the images
	readers []*Reader

	readings []*reading // nil if there is none
	now      int64
	keys     int
	sizes    []int
	last     string // operation
}

func newAdversary(t *testing.T, seed uint64) *adversary {
	a := &adversary{t: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 11)), now: testStart}
	formed := int64(8<<20) << a.rng.IntN(3)
	a.keys = []int{30, 500, 20_000}[a.rng.IntN(3)]
	a.sizes = [][]int{{0, 100}, {0, 100, 5000, 60_000}, {10, 1 << 20, 7 << 20}, {8190, 8200}, {33 << 10}}[a.rng.IntN(5)]
	noEvict := a.rng.IntN(8) == 0
	former := newEngine(t, Limits{MemoryBytes: formed, ItemBytesMax: 8 << 20, NoEvict: noEvict})
	former.Propose(seed % 2 * 77) // each second cluster is from before there were seeds
	formation := former.Formation()
	for i, limit := range []int64{1 << 20, formed, 128 << 20} {
		limits := Limits{MemoryBytes: limit, ItemBytesMax: 1 << 20}
		layout := store.LayoutFor(limit)
		if i == 1 {
			layout = layoutOf(limits, 16<<10, 0)
		}
		e, err := newWithLayout(limits, layout, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		e.Apply(1, formation, false)
		a.engines = append(a.engines, e)
		a.readers = append(a.readers, e.NewReader())
	}
	n := len(a.engines)
	a.images, a.bytes, a.readings = make([]*Image, n), make([][]byte, n), make([]*reading, n)
	return a
}

func (a *adversary) fatalf(format string, args ...any) {
	a.t.Helper()
	a.t.Fatalf("seed %d, last operation %s: %s", a.seed, a.last, fmt.Sprintf(format, args...))
}

func (a *adversary) end() {
	for i, e := range a.engines {
		a.unread(i)
		check(a.t, e)
		e.Close()
	}
}

func (a *adversary) key() []byte {
	n := a.rng.IntN(a.keys)
	return fmt.Appendf(nil, "%d-%s", n, bytes.Repeat([]byte("k"), n%200))
}

// entry applies an entry: a stamp, hints, operations.
func (a *adversary) entry() {
	a.now += []int64{0, 1, 999, 1000, 64_000, 3_000_000, 40 * 86400 * 1000}[min(a.rng.IntN(12), a.rng.IntN(12), 6)]
	var hints []byte
	for range a.rng.IntN(3) * a.rng.IntN(200) {
		hints = binary.LittleEndian.AppendUint64(hints, a.engines[0].st.Hash(a.key()))
	}
	for i := range a.engines {
		a.aside(i)
		a.engines[i].Advance(a.now)
		a.engines[i].Hint(hints)
	}
	a.same()
	for range 1 + a.rng.IntN(2)*a.rng.IntN(100) {
		a.apply(a.op())
	}
	a.same()
}

// op is most often a store, and sometimes one that needs much room.
func (a *adversary) op() *Op {
	op := &Op{Key: a.key(), Exptime: []int64{
		0, 0, 0, 1, 63, 64, 65, 1000, relativeExptimeMax, relativeExptimeMax + 1,
		a.now/1000 + 1, a.now / 1000, math.MaxInt32, math.MinInt32, -1, math.MaxInt64,
	}[min(a.rng.IntN(32), 15)]}
	size := a.sizes[a.rng.IntN(len(a.sizes))]
	if size = size/2 + a.rng.IntN(size/2+1); a.rng.IntN(60) == 0 {
		size = int(a.engines[0].limits.MemoryBytes/2) - 400 + a.rng.IntN(300)
	}
	op.Value = bytes.Repeat([]byte{'0' + byte(a.rng.IntN(10))}, size)
	switch op.Kind = modelKinds[a.rng.IntN(len(modelKinds))]; {
	case a.rng.IntN(100) == 0:
		return &Op{Kind: OpMemoryLimit, Delta: uint64(a.rng.Int64N(80 << 20))}
	case op.Kind == OpFlushAll && a.rng.IntN(20) > 0:
		op.Kind = OpAdd
	case op.Kind == OpFlushAll:
		op.Key = nil
	case op.Kind == OpAppend, op.Kind == OpPrepend:
		op.Value = op.Value[:len(op.Value)/4]
	}
	if op.Key != nil && a.rng.IntN(3) == 0 {
		a.extend(op)
	}
	return op
}

// extend asks for what the meta commands and the binary protocol may ask for.
func (a *adversary) extend(op *Op) {
	if a.rng.IntN(2) == 0 {
		op.Kind = OpMetaGet
	}
	some, others := item.Fields(a.rng.Uint32()), item.Fields(a.rng.Uint32())
	op.Fields = some & others & item.AllFields // a few at a time
	op.CAS = a.rng.Uint64N(a.engines[0].mutations + 3)
	op.NewCAS, op.Initial, op.Delta = a.rng.Uint64()>>a.rng.IntN(64), a.rng.Uint64(), a.rng.Uint64()>>a.rng.IntN(64)
	op.Vivify, op.Recache = []int64{0, 1, 100, -1, math.MaxInt32}[a.rng.IntN(5)], a.rng.Int64N(100)
	op.Flags = a.rng.Uint32() >> a.rng.IntN(33)
}

// answer returns what all engines are to answer of a result.
func (a *adversary) answer(out *Results) string {
	r := only(a.t, out)
	r.IdleSeconds, r.Marks = 0, r.Marks&^item.HitBefore
	value := store.Seed(0).Hash(r.Value)
	r.Value = nil
	return fmt.Sprintf("%+v %x", r, value)
}

// apply applies an operation everywhere.
func (a *adversary) apply(op *Op) {
	a.last = fmt.Sprintf("kind %d, fields %x, key %q, %d bytes, exptime %d, delta %d", op.Kind, op.Fields, op.Key, len(op.Value), op.Exptime, op.Delta)
	want := ""
	for i, e := range a.engines {
		evictions, total := e.counts.Evictions, e.st.Total()
		out := e.Apply(1, AppendOp(nil, op), true)
		if got := a.answer(out); i == 0 {
			want = got
		} else if got != want {
			a.fatalf("engine %d answers %.300s, want %.300s", i, got, want)
		}
		most := int64(shrinkPerItem) + 2*int64(len(op.Value)+300)/store.ChargeMin
		if e.st.Total() < total/2 {
			most = math.MaxInt64 // a very large item went, or all
		}
		if n := e.counts.Evictions - evictions; n > most && op.Kind != OpAppend && op.Kind != OpPrepend && op.Kind != OpTouch && op.Kind != OpGat {
			a.fatalf("%d evictions", n)
		}
		if e.mayMove < -16<<20 {
			a.fatalf("moved %d bytes more than it may", -e.mayMove)
		}
	}
}

// same compares the engines.
func (a *adversary) same() {
	want := digest(a.engines[0])
	for i, e := range a.engines {
		if digest(e) != want || e.Stats().Counts != a.engines[0].Stats().Counts {
			a.fatalf("engine %d differs: %+v, want %+v", i, e.Stats().Counts, a.engines[0].Stats().Counts)
		}
		if a.rng.IntN(20) == 0 {
			check(a.t, e)
		}
	}
}

// aside does what is an engine's own affair.
func (a *adversary) aside(i int) {
	e := a.engines[i]
	switch a.rng.IntN(10) {
	case 0, 1, 2:
		for range a.rng.IntN(20) {
			e.Tidy()
		}
	case 3, 4:
		for range a.rng.IntN(40) {
			a.produce(i)
		}
	case 5:
		if a.images[i] == nil {
			a.restart(i, imageOf(a.t, e))
		}
	case 6:
		a.unread(i)
		a.read(i)
	case 7:
		a.unread(i)
	}
}

// produce goes on with an image, which has to be of the moment at which it began.
func (a *adversary) produce(i int) {
	if a.images[i] == nil {
		a.images[i], a.bytes[i] = a.engines[i].Image(), nil
	}
	b, more, err := a.images[i].Next(a.bytes[i])
	if a.bytes[i] = b; err == nil && more {
		return
	}
	a.images[i] = nil
	if err == nil {
		if err := readable(testLimits, b); err != nil {
			a.fatalf("image of engine %d: %v", i, err)
		}
	}
}

// restart goes on with an image in a new engine, which was started with another
// limit.
func (a *adversary) restart(i int, image []byte) {
	a.unread(i)
	fresh, err := New(Limits{MemoryBytes: int64(1<<20) << a.rng.IntN(8), ItemBytesMax: 1 << 20})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := fresh.Restore(bytes.NewReader(image)); err != nil {
		a.fatalf("restore engine %d: %v", i, err)
	}
	a.engines[i].Close()
	a.engines[i], a.readers[i] = fresh, fresh.NewReader()
}

// reading is a read that is under way.
type reading struct{ leave, ended chan struct{} }

// read has a reader stay in what it reads.
func (a *adversary) read(i int) {
	key, entered := a.key(), make(chan struct{})
	now := &reading{make(chan struct{}), make(chan struct{})}
	r := a.readers[i]
	go func() {
		defer close(now.ended)
		_, hit := r.View(nil, key, func(dst, _ []byte, it Item) []byte {
			before := store.Seed(0).Hash(it.Value)
			close(entered)
			<-now.leave
			if store.Seed(0).Hash(it.Value) != before {
				a.t.Errorf("seed %d: the value of %q changed under a reader", a.seed, key)
			}
			return dst
		})
		if !hit {
			close(entered)
		}
	}()
	<-entered
	a.readings[i] = now
}

// unread ends the read.
func (a *adversary) unread(i int) {
	if r := a.readings[i]; r != nil {
		close(r.leave)
		<-r.ended
		a.readings[i] = nil
	}
}
