package replication

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"raftcached/replication/frame"

	"github.com/cespare/xxhash/v2"
)

// rowsMax bounds the rows of a snapshot's table: all loops of 4,096 origins.
const rowsMax = loopsMax << 12

type rowKey struct {
	origin uint64
	loop   int
}

// row is the last sub-batch applied for an (origin, loop).
type row struct {
	boot uint64
	seq  uint64
}

// verdict is what the table says of a sub-batch that is about to be applied.
type verdict uint8

const (
	verdictApply     verdict = iota // it is the next one
	verdictDuplicate                // it was applied before, or its boot is retired
	verdictGap                      // an earlier one is missing
)

// table holds the exactly-once rows of the replicated state: for each (origin,
// loop) the boot number and the sequence number last applied.
//
// Invariant: a sub-batch of the known boot applies only at seq+1; a higher boot
// starts at 1 and retires the older one; everything else has no effect.
type table struct {
	rows map[rowKey]row
}

func newTable() *table { return &table{rows: make(map[rowKey]row)} }

// admit decides on s and, if it is to be applied, records it.
func (t *table) admit(s *SubBatch) verdict {
	k := rowKey{s.Origin, s.Loop}
	last := t.rows[k]
	switch {
	case s.Boot < last.boot:
		return verdictDuplicate
	case s.Boot > last.boot:
		last = row{boot: s.Boot}
	}
	switch {
	case s.Seq <= last.seq:
		return verdictDuplicate
	case s.Seq > last.seq+1:
		return verdictGap
	}
	t.rows[k] = row{boot: s.Boot, seq: s.Seq}
	return verdictApply
}

// keep removes the rows of the origins that are not to stay.
func (t *table) keep(stays func(origin uint64) bool) {
	maps.DeleteFunc(t.rows, func(k rowKey, _ row) bool { return !stays(k.origin) })
}

// sorted returns the rows in the order of (origin, loop), in which they are
// written and digested: the order of a Go map must not show.
func (t *table) sorted() []rowKey {
	keys := make([]rowKey, 0, len(t.rows))
	for k := range t.rows {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b rowKey) int {
		return cmp.Or(cmp.Compare(a.origin, b.origin), cmp.Compare(a.loop, b.loop))
	})
	return keys
}

// append appends the encoded rows to dst.
func (t *table) append(dst []byte) []byte {
	dst = frame.AppendArrayLen(dst, len(t.rows))
	for _, k := range t.sorted() {
		r := t.rows[k]
		dst = frame.AppendArrayLen(dst, 4)
		dst = frame.AppendUint(dst, k.origin)
		dst = frame.AppendUint(dst, uint64(k.loop))
		dst = frame.AppendUint(dst, r.boot)
		dst = frame.AppendUint(dst, r.seq)
	}
	return dst
}

// readTable decodes what append wrote.
func readTable(r *frame.Reader) (*table, error) {
	n, err := r.ArrayLen(rowsMax)
	if err != nil {
		return nil, fmt.Errorf("read exactly-once rows: %w", err)
	}
	t := newTable()
	for range n {
		if m, err := r.ArrayLen(4); err != nil || m != 4 {
			return nil, fmt.Errorf("read exactly-once row: array of %d, want 4: %w", m, errMalformed)
		}
		var v [4]uint64
		for i := range v {
			if v[i], err = r.Uint64(); err != nil {
				return nil, fmt.Errorf("read exactly-once row: %w", err)
			}
		}
		if v[1] >= loopsMax {
			return nil, fmt.Errorf("read exactly-once row: loop %d: %w", v[1], errMalformed)
		}
		t.rows[rowKey{v[0], int(v[1])}] = row{boot: v[2], seq: v[3]}
	}
	return t, nil
}

// digest hashes the rows.
func (t *table) digest() uint64 { return xxhash.Sum64(t.append(nil)) }
