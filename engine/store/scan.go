package store

import (
	"math/bits"
	"sync/atomic"
)

// Scan calls f with the items that clients can see and whose hashes follow from, up to
// the end of a home in the index: about nine. It returns the hash to go on with, and
// whether there is any. A reader calls it, with the returned hash again and again, from 0:
// it meets every item exactly once that is there all the while, whatever else is stored,
// moved or unlinked and however the index is resized, since each of its tables has the
// homes in the order of the hashes. The handles are memory for its own use, which it
// returns.
func (s *Store) Scan(from uint64, handles []Handle, f func(Ref)) (next uint64, more bool, _ []Handle) {
	handles, next, more = s.index.scan(from, handles[:0])
	for _, h := range handles {
		r := s.ref(h)
		if hash := s.Hash(r.Key()); hash >= from && (!more || hash < next) && s.Alive(r) {
			f(r)
		}
	}
	return next, more, handles
}

// scan appends the handles that are in reach of the home of a hash. Those whose hashes
// are from the given one up to next, without it, are complete; others may be among them.
func (x *index) scan(from uint64, handles []Handle) (_ []Handle, next uint64, more bool) {
	for {
		moves := x.moves.Load()
		s := x.state.Load()
		t := s.tableOf(from)
		next, more = t.firstHash(t.home(from) + 1)
		if t != s.old && s.old != nil {
			// Beyond what was swept the items are still in the old table.
			if swept, ok := s.old.firstHash(s.swept.Load()); ok && (!more || swept < next) {
				next, more = swept, true
			}
		}
		handles = t.appendReach(handles[:0], t.home(from))
		if moves&1 == 0 && x.moves.Load() == moves {
			return handles, next, more
		}
	}
}

// firstHash is the lowest hash of a home; ok is false if the table has no such home.
func (t *table) firstHash(home uint64) (hash uint64, ok bool) {
	if home >= t.buckets {
		return 0, false
	}
	hash, rest := bits.Div64(home, 0, t.buckets)
	if rest != 0 {
		hash++
	}
	return hash, true
}

// appendReach appends the handles in the buckets where the items of a home are.
func (t *table) appendReach(handles []Handle, home uint64) []Handle {
	last := t.reach(atomic.LoadUint32(&t.words[home*bucketWords+spillWord]))
	for d := uint64(0); d <= last; d++ {
		at := (home + d) % t.buckets
		b := t.words[at*bucketWords:][:bucketWords]
		for i := range uint64(slotsPerBucket) {
			if atomic.LoadUint32(&b[tagWord+i/4])>>(8*(i%4))&0xff == 0 {
				continue
			}
			if h := Handle(atomic.LoadUint32(&b[i])); h != 0 {
				handles = append(handles, h)
			}
		}
	}
	return handles
}
