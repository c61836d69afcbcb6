package store

const (
	// indexBytes is what an item is charged for its place in the index: a slot, at
	// the average fill of the index.
	indexBytes = 8

	// ChargeMin is the least charge of an item.
	ChargeMin = 2*unitBytes + indexBytes

	// ExpiringChargeMin is the least charge of an item that expires.
	ExpiringChargeMin = ChargeMin + expiryBytes
)

// chargeOf is what an item is charged, from the size of its record.
func chargeOf(size int) int64 { return int64(size) + indexBytes }

// ChargeFor is what an item will be charged when it is stored.
func ChargeFor(m *Meta, keyLen, valueLen int) int64 {
	return chargeOf(roundUp(shapeOf(headFor(m, keyLen, valueLen), valueLen).end))
}

// Count is the number of items that are charged.
func (s *Store) Count() int64 { return s.count }

// Bytes is what the items of a queue are charged.
func (s *Store) Bytes(q int) int64 { return s.bytes[q] }

// Total is what all items are charged.
func (s *Store) Total() int64 { return s.bytes[QueueSmall] + s.bytes[QueueMain] }

// Sum is the sum of the digests of the items that are charged.
func (s *Store) Sum() uint64 { return s.sum }

// Linked is the number of items in the index: those that are charged, and those
// that have left the sums and are to be unlinked.
func (s *Store) Linked() int { return s.index.count }

// LiveBytes is the size of the records of the linked items.
func (s *Store) LiveBytes() int64 { return s.live }

// KeptBytes is the size of the dead records that are kept for a Walk.
func (s *Store) KeptBytes() int64 { return s.kept }

// account adds a new item to the sums and to its expiry slot.
func (s *Store) account(h Handle, q int, head uint32) {
	r := s.arena.record(h)
	charge, digest := chargeOf(r.sizeBytes(head)), r.digest(head)
	s.count++
	s.bytes[q] += charge
	s.sum += digest
	if head&expiryBit != 0 {
		s.expiry.add(h, q, charge, digest)
		if s.unfetched(h, head) {
			s.slotOf(r, head).unfetched++
		}
	}
}

// unaccount takes an item that readers can no longer find out of the sums and out of
// its expiry slot.
func (s *Store) unaccount(h Handle) {
	r := s.arena.record(h)
	head := r.load()
	if !s.ended(r, head) {
		q := s.segmentOf(h).queue
		charge, digest := chargeOf(r.sizeBytes(head)), r.digest(head)
		s.count--
		s.bytes[q] -= charge
		s.sum -= digest
		if head&expiryBit != 0 {
			s.expiry.unaccount(h, q, charge, digest)
			if s.unfetched(h, head) {
				s.slotOf(r, head).unfetched--
			}
		}
	}
	if head&expiryBit != 0 {
		s.expiry.remove(h)
	}
}

// ExpireSlots ends the expiry slots that are due: their items leave the sums. It
// returns how many items that were, and how many of them nobody had asked for.
func (s *Store) ExpireSlots() (expired, unfetched int64) {
	s.expiry.fire(s.timeMs.Load(), func(slot *expirySlot) {
		for q := range QueueCount {
			s.count -= slot.count[q]
			s.bytes[q] -= slot.bytes[q]
			expired += slot.count[q]
		}
		s.sum -= slot.sum
		unfetched += slot.unfetched
	})
	return expired, unfetched
}

// NextExpiryMs is a time before which no expiry slot ends, math.MaxInt64 if there
// is none with items.
func (s *Store) NextExpiryMs() int64 { return s.expiry.nextMs }

// ended reports whether the item of a record has left the sums because its expiry
// slot has ended.
func (s *Store) ended(r record, head uint32) bool {
	if head&expiryBit == 0 {
		return false
	}
	ms, level := r.expiry(head)
	return SlotEnd(level, ms) <= s.timeMs.Load()
}

// unfetched reports whether nobody has asked for the item of a record, nor stored
// it again, as far as the log tells: it is still in the small queue, and no read of
// it was hinted.
func (s *Store) unfetched(h Handle, head uint32) bool {
	return head&freqMask == 0 && s.segmentOf(h).queue == QueueSmall
}

// slotOf returns the expiry slot of a record that expires.
func (s *Store) slotOf(r record, head uint32) *expirySlot {
	ms, level := r.expiry(head)
	return &s.expiry.slots[slotID(level, ms)]
}
