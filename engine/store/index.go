package store

import (
	"bytes"
	"math/bits"
	"sync/atomic"

	"raftcached/engine/memory"
)

const (
	// slotsPerBucket handles share a cache line with their tags.
	slotsPerBucket = 12

	bucketWords = 16
	bucketBytes = 4 * bucketWords
	tagWord     = 12
	spillWord   = 15

	// bucketsMin is the size of an empty index: 8 KiB.
	bucketsMin = 128

	// The index grows when there are more than growAt items to a bucket, to
	// growTo items, and shrinks to half its size below shrinkAt. A resize takes one
	// operation for each old bucket; the new table has room for what these may add.
	growAt, growTo, shrinkAt = 9.0, 7.2, 2.5

	// spillMax is the highest number of spilled items, and the longest way, that a
	// bucket can record. From then on it may be more: the number stays as it is until
	// the next resize, and a search goes through all buckets.
	spillMax = 1<<16 - 1

	// sweptBytes of the old table are released at a time during a resize.
	sweptBytes = 64 << 10
)

// index finds the handle of a key. Its buckets of 12 slots fill a cache line
// each; an item that finds its home bucket full spills into one of the next.
//
//	bucket  handles 12 x 4 | tags 12 x 1, 0 if the slot is free |
//	        items of this home that spilled 2 | how far they went at most 2
//
// A bucket's home is the high part of hash times buckets, so that a table of any
// size keeps the order of hashes: it is resized by one sweep that moves the
// homes in order, one with each change, to a table of any other size.
//
// Only the applier changes it. Readers take no lock: slots change atomically,
// and a reader that found nothing looks again if a home was moved meanwhile.
type index struct {
	arena *arena
	seed  atomic.Uint64 // Seed
	state atomic.Pointer[tables]
	moves atomic.Uint64 // odd while a home is being moved
	count int
	least uint64   // buckets below which it does not shrink
	done  []*table // old ones of resizes that have ended, for the store to retire
}

// tables are the index's table and, during a resize, the one that it leaves.
type tables struct {
	now, old *table // old is nil if no resize is going on
	swept    atomic.Uint64
}

type table struct {
	mem     []byte
	words   []uint32
	buckets uint64
}

// slot is where a handle is kept.
type slot struct {
	table *table
	home  uint64
	at    uint64 // bucket
	word  uint64 // of table.words
}

func newTable(buckets uint64) (*table, error) {
	mem, err := memory.Reserve(int(buckets * bucketBytes))
	if err != nil {
		return nil, err
	}
	return &table{mem: mem, words: words(mem), buckets: buckets}, nil
}

// newIndex returns an index with room for count items of arena, by the hashes of a seed.
func newIndex(a *arena, count int, seed Seed) (*index, error) {
	t, err := newTable(max(bucketsMin, uint64(float64(count)/growTo)))
	if err != nil {
		return nil, err
	}
	x := &index{arena: a, least: t.buckets}
	x.seed.Store(uint64(seed))
	x.state.Store(&tables{now: t})
	return x, nil
}

func (x *index) hash(key []byte) uint64 { return Seed(x.seed.Load()).Hash(key) }

func (x *index) close() {
	s := x.state.Load()
	memory.Release(s.now.mem)
	if s.old != nil {
		memory.Release(s.old.mem)
	}
}

func tagOf(hash uint64) uint32 { return max(1, uint32(hash&0xff)) }

func (t *table) home(hash uint64) uint64 {
	hi, _ := bits.Mul64(hash, t.buckets)
	return hi
}

// tableOf returns the table in which an item of that hash is.
func (s *tables) tableOf(hash uint64) *table {
	if s.old != nil && s.old.home(hash) >= s.swept.Load() {
		return s.old
	}
	return s.now
}

// get returns the handle of key for a reader, 0 if there is none.
func (x *index) get(hash uint64, key []byte) Handle {
	for {
		moves := x.moves.Load()
		if h, _ := x.find(x.state.Load().tableOf(hash), hash, key, 0); h != 0 {
			return h
		}
		if moves&1 == 0 && x.moves.Load() == moves {
			return 0
		}
	}
}

// lookup returns the handle of key and its slot for the applier.
func (x *index) lookup(hash uint64, key []byte) (Handle, slot) {
	return x.find(x.state.Load().tableOf(hash), hash, key, 0)
}

// slotOf returns the slot that holds h, which must be there.
func (x *index) slotOf(hash uint64, h Handle) slot {
	found, s := x.find(x.state.Load().tableOf(hash), hash, nil, h)
	if found == 0 {
		panic("store: item is not in the index")
	}
	return s
}

// find looks for the handle want or, if that is 0, for one whose record has the
// key.
func (x *index) find(t *table, hash uint64, key []byte, want Handle) (Handle, slot) {
	home := t.home(hash)
	tag := tagOf(hash) * 0x01010101
	last := uint64(0)
	for d := uint64(0); d <= last; d++ {
		at := home + d
		if at >= t.buckets {
			at -= t.buckets
		}
		b := t.words[at*bucketWords:][:bucketWords]
		for w := range uint64(3) {
			for m := zeroBytes(atomic.LoadUint32(&b[tagWord+w]) ^ tag); m != 0; m &= m - 1 {
				i := 4*w + uint64(bits.TrailingZeros32(m))/8
				h := Handle(atomic.LoadUint32(&b[i]))
				if h == 0 {
					continue
				}
				if want == 0 && x.hasKey(h, key) || h == want {
					return h, slot{table: t, home: home, at: at, word: at*bucketWords + i}
				}
			}
		}
		if d == 0 {
			last = t.reach(atomic.LoadUint32(&b[spillWord]))
		}
	}
	return 0, slot{}
}

// touch loads a word of the home bucket of a hash.
func (x *index) touch(hash uint64) uint32 {
	t := x.state.Load().tableOf(hash)
	return atomic.LoadUint32(&t.words[t.home(hash)*bucketWords+tagWord])
}

// likely returns the first handle in the home bucket whose tag is that of the
// hash, 0 if there is none.
func (x *index) likely(hash uint64) Handle {
	t := x.state.Load().tableOf(hash)
	b := t.words[t.home(hash)*bucketWords:][:bucketWords]
	tag := tagOf(hash) * 0x01010101
	for w := range uint64(3) {
		if m := zeroBytes(atomic.LoadUint32(&b[tagWord+w]) ^ tag); m != 0 {
			return Handle(atomic.LoadUint32(&b[4*w+uint64(bits.TrailingZeros32(m))/8]))
		}
	}
	return 0
}

// zeroBytes returns the highest bit of each byte of v that is 0. The well-known
// shorter form also returns some that are not, whose handles may be stale.
func zeroBytes(v uint32) uint32 {
	const low = 0x7f7f7f7f
	return ^((v&low + low) | v | low)
}

// hasKey reports whether the record at h has the key.
func (x *index) hasKey(h Handle, key []byte) bool {
	r := x.arena.record(h)
	head := r.load()
	return int(head>>keyShift&0xff) == len(key) && bytes.Equal(r.key(head), key)
}

// each calls f with every handle whose hash may be the given one.
func (x *index) each(hash uint64, f func(Handle)) {
	t := x.state.Load().tableOf(hash)
	home := t.home(hash)
	last := t.reach(t.words[home*bucketWords+spillWord])
	for d := uint64(0); d <= last; d++ {
		at := (home + d) % t.buckets
		for i := range uint64(slotsPerBucket) {
			if t.tag(at, i) == tagOf(hash) {
				f(Handle(t.words[at*bucketWords+i]))
			}
		}
	}
}

// reach returns how many buckets after its home an item may be at most, from the
// word that tells what has spilled.
func (t *table) reach(spill uint32) uint64 {
	if far := uint64(spill >> 16); far < spillMax {
		return far
	}
	return t.buckets - 1
}

func (t *table) tag(at, i uint64) uint32 {
	return t.words[at*bucketWords+tagWord+i/4] >> (8 * (i % 4)) & 0xff
}

func (t *table) setTag(at, i uint64, tag uint32) {
	w := &t.words[at*bucketWords+tagWord+i/4]
	shift := 8 * (i % 4)
	atomic.StoreUint32(w, *w&^(0xff<<shift)|tag<<shift)
}

// insert adds h, whose key must not be there.
func (x *index) insert(hash uint64, h Handle) {
	x.state.Load().tableOf(hash).insert(hash, h)
	x.count++
	x.step()
}

func (t *table) insert(hash uint64, h Handle) {
	home := t.home(hash)
	for d := range t.buckets {
		at := (home + d) % t.buckets
		for i := range uint64(slotsPerBucket) {
			if t.tag(at, i) != 0 {
				continue
			}
			if d > 0 {
				w := &t.words[home*bucketWords+spillWord]
				far := uint32(min(d, spillMax))
				atomic.StoreUint32(w, max(*w>>16, far)<<16|min(*w&spillMax+1, spillMax))
			}
			atomic.StoreUint32(&t.words[at*bucketWords+i], uint32(h))
			t.setTag(at, i, tagOf(hash))
			return
		}
	}
	panic("store: index is full")
}

// replace puts h in the place of what is in the slot, which has the same key.
func (x *index) replace(s slot, h Handle) {
	atomic.StoreUint32(&s.table.words[s.word], uint32(h))
}

// remove empties the slot.
func (x *index) remove(s slot) {
	s.table.setTag(s.at, s.word%bucketWords, 0)
	if s.at != s.home {
		w := &s.table.words[s.home*bucketWords+spillWord]
		switch spilled := *w & spillMax; spilled {
		case spillMax: // or more
		case 1:
			atomic.StoreUint32(w, 0)
		default:
			atomic.StoreUint32(w, *w-1)
		}
	}
	x.count--
	x.step()
}

// step moves one home if a resize is going on, and else begins one if it is time.
func (x *index) step() {
	s := x.state.Load()
	if s.old != nil {
		x.moveHome(s)
		return
	}
	buckets := x.fitting(s.now.buckets)
	if buckets == s.now.buckets {
		return
	}
	t, err := newTable(buckets)
	if err != nil {
		panic("store: " + err.Error()) // real exhaustion of memory ends the process
	}
	x.state.Store(&tables{now: t, old: s.now})
}

// fitting returns how many buckets there should be where there are so many.
func (x *index) fitting(buckets uint64) uint64 {
	switch perBucket := float64(x.count) / float64(buckets); {
	case perBucket > growAt:
		return uint64(float64(x.count) / growTo)
	case perBucket < shrinkAt:
		return min(buckets, max(x.least, buckets/2))
	default:
		return buckets
	}
}

// moveHome moves the items of the next home into the new table.
func (x *index) moveHome(s *tables) {
	home := s.swept.Load()
	t := s.old
	x.moves.Add(1)
	last := t.reach(t.words[home*bucketWords+spillWord])
	for d := uint64(0); d <= last; d++ {
		at := (home + d) % t.buckets
		for i := range uint64(slotsPerBucket) {
			if t.tag(at, i) == 0 {
				continue
			}
			h := Handle(t.words[at*bucketWords+i])
			if hash := x.hashOf(h); t.home(hash) == home {
				s.now.insert(hash, h)
				t.setTag(at, i, 0)
			}
		}
	}
	s.swept.Store(home + 1)
	x.moves.Add(1)
	t.releaseBehind(home)
	if home+1 == t.buckets {
		x.done = append(x.done, t)
		x.state.Store(&tables{now: s.now})
	}
}

// releaseBehind returns the memory before a home that was moved, unless items of
// the last homes have spilled there.
func (t *table) releaseBehind(home uint64) {
	const buckets = sweptBytes / bucketBytes
	if (home+1)%buckets != 0 {
		return
	}
	first := home + 1 - buckets
	for at := first; at <= home; at++ {
		if b := t.words[at*bucketWords:][:bucketWords]; b[tagWord]|b[tagWord+1]|b[tagWord+2] != 0 {
			return
		}
	}
	memory.ReleasePages(t.mem[first*bucketBytes : (home+1)*bucketBytes])
}

func (x *index) hashOf(h Handle) uint64 {
	r := x.arena.record(h)
	return x.hash(r.key(r.load()))
}
