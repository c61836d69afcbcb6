package store

import (
	"sync/atomic"
)

// Ref is an item where it lies, or none. The applier may use it until it changes,
// moves or unlinks the item, a reader until Leave.
type Ref struct {
	record record
	head   uint32 // as it was when the item was found
	handle Handle
}

// Exists reports whether there is an item.
func (r Ref) Exists() bool { return r.handle != 0 }

// Handle names the item until it is stored again, moved or unlinked.
func (r Ref) Handle() Handle { return r.handle }

// Key returns the item's key.
func (r Ref) Key() []byte { return r.record.key(r.head) }

// Read returns all of the item but its Access.
func (r Ref) Read() (key, value []byte, m Meta) { return r.record.read(r.head) }

// Content returns the part of Read that every answer has.
func (r Ref) Content() (flags uint32, cas uint64, value []byte) { return r.record.content(r.head) }

// ExpiryMs is when the item expires, ms of Unix time on the log's clock; 0: never.
func (r Ref) ExpiryMs() int64 {
	ms, _ := r.record.expiry(r.head)
	return ms
}

// Access returns what this node knows of the item's reads.
func (r Ref) Access() Access { return r.record.access(r.head) }

// Note records a read of the item at a second of Unix time.
func (r Ref) Note(seconds uint32) { r.record.note(r.head, seconds) }

// Freq is how often the item was accessed, as far as the log tells.
func (r Ref) Freq() uint32 { return r.head & freqMask }

// Hintable reports whether a hint of the item can have an effect: none was given since
// the log told of one, and the count of accesses is not at its end.
func (r Ref) Hintable() bool { return r.head&hintedBit == 0 && r.head&freqMask < FreqMax }

// MarkHinted notes that a hint was given.
func (r Ref) MarkHinted() { atomic.OrUint32(r.record.head(), hintedBit) }

// Charge is what the item is charged.
func (r Ref) Charge() int64 { return chargeOf(r.record.sizeBytes(r.head)) }

// Place is what a key was found to hold: an item, that may have expired, or none.
type Place struct {
	Ref
	Hash  uint64 // of the key
	Alive bool   // clients can see the item
	slot  slot
}

// Find returns the place of a key. The applier calls it; readers call Lookup.
func (s *Store) Find(key []byte) Place { return s.FindHashed(s.Hash(key), key) }

// FindHashed is Find for a key whose hash is known.
func (s *Store) FindHashed(hash uint64, key []byte) Place {
	p := Place{Hash: hash}
	if p.handle, p.slot = s.index.lookup(hash, key); p.handle != 0 {
		p.record = s.arena.record(p.handle)
		p.head = p.record.load()
		p.Alive = s.alive(p.record, p.head)
	}
	return p
}

// Lookup returns the item of a key for a reader, and whether clients can see it.
func (s *Store) Lookup(hash uint64, key []byte) (r Ref, alive bool) {
	h := s.index.get(hash, key)
	if h == 0 {
		return r, false
	}
	r = s.ref(h)
	return r, s.alive(r.record, r.head)
}

func (s *Store) ref(h Handle) Ref {
	r := s.arena.record(h)
	return Ref{record: r, head: r.load(), handle: h}
}

// Touch loads a word of where the index has the items of a hash, so that a call that
// needs it soon finds it near the processor.
func (s *Store) Touch(hash uint64) uint32 { return s.index.touch(hash) }

// Each calls f with every item that clients can see and whose key has the hash.
func (s *Store) Each(hash uint64, f func(Ref)) {
	s.index.each(hash, func(h Handle) {
		if r := s.ref(h); s.Hash(r.Key()) == hash && s.Alive(r) {
			f(r)
		}
	})
}

// Alive reports whether clients can see an item.
func (s *Store) Alive(r Ref) bool { return s.alive(r.record, r.head) }

// Charged reports whether an item is in the sums: its expiry slot has not ended.
func (s *Store) Charged(r Ref) bool { return !s.ended(r.record, r.head) }

// Unfetched reports whether nobody has asked for an item, nor stored it again, as far
// as the log tells.
func (s *Store) Unfetched(r Ref) bool { return s.unfetched(r.handle, r.head) }

// QueueOf is the queue that an item is in.
func (s *Store) QueueOf(r Ref) int { return s.segmentOf(r.handle).queue }

// QueuedMs is the time at which an item came to its queue, exact to the segment.
func (s *Store) QueuedMs(r Ref) int64 { return s.segmentOf(r.handle).bornMs }
