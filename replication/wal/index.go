package wal

import (
	"fmt"
	"slices"
	"sort"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// place is the position of an entry's record, and the entry's type.
type place struct {
	seq    uint64
	offset uint32
	kind   uint8
}

// termRun is a run of entries of one term, from first on.
type termRun struct{ first, term uint64 }

// index holds the position and the term of each entry from base+1 to last, and the
// newest entries themselves.
type index struct {
	base     uint64 // the log begins after this index
	baseTerm uint64
	places   []place
	runs     []termRun // sorted by first; the first run begins at base+1 or before

	recent      []*pb.Entry // the last ones
	recentBytes int64
	recentMax   int64
}

func newIndex(base, baseTerm uint64, recentMax int64) index {
	return index{base: base, baseTerm: baseTerm, recentMax: recentMax}
}

func (x *index) last() uint64 { return x.base + uint64(len(x.places)) }

// check returns raft's error if not all entries from lo on, up to hi, are there.
func (x *index) check(lo, hi uint64) error {
	switch {
	case lo <= x.base:
		return raft.ErrCompacted
	case hi > x.last()+1:
		return raft.ErrUnavailable
	}
	return nil
}

// checkIndexes checks that the entries are consecutive and fit a log of the entries
// base+1 to last. They may replace some of those.
func checkIndexes(ents []*pb.Entry, base, last uint64) error {
	for i, e := range ents {
		switch want := ents[0].GetIndex() + uint64(i); {
		case e.GetIndex() != want:
			return fmt.Errorf("entry %d where %d belongs", e.GetIndex(), want)
		case want <= base || i == 0 && want > last+1:
			return fmt.Errorf("entry %d does not fit a log of entries %d to %d", want, base+1, last)
		}
	}
	return nil
}

// append adds entries that checkIndexes has accepted.
func (x *index) append(ents []*pb.Entry, places []place) {
	if len(ents) == 0 {
		return
	}
	x.truncate(ents[0].GetIndex())
	for i, e := range ents {
		x.add(entryHead{e.GetIndex(), e.GetTerm(), e.GetType()}, places[i])
		x.recentBytes += entryBytes(e)
	}
	x.recent = append(x.recent, ents...)
	x.forget()
}

// add adds one entry, which replaces all entries at and after its index. It does not
// keep the entry in memory: append does that, and recovery keeps none.
func (x *index) add(e entryHead, at place) {
	x.truncate(e.index)
	if n := len(x.runs); n == 0 || x.runs[n-1].term != e.term {
		x.runs = append(x.runs, termRun{e.index, e.term})
	}
	at.kind = uint8(e.kind)
	x.places = append(x.places, at)
}

func entryBytes(e *pb.Entry) int64 { return int64(proto.Size(e)) }

// truncate drops the entry first and all entries after it.
func (x *index) truncate(first uint64) {
	if first > x.last() {
		return
	}
	drop := int(x.last() - first + 1)
	x.places = x.places[:len(x.places)-drop]
	for n := len(x.runs); n > 0 && x.runs[n-1].first >= first; n-- {
		x.runs = x.runs[:n-1]
	}
	keep := max(0, len(x.recent)-drop)
	for _, e := range x.recent[keep:] {
		x.recentBytes -= entryBytes(e)
	}
	clear(x.recent[keep:])
	x.recent = x.recent[:keep]
}

// forget drops the oldest entries from memory until the rest fits recentMax.
func (x *index) forget() {
	n := 0
	for x.recentBytes > x.recentMax && n < len(x.recent)-1 {
		x.recentBytes -= entryBytes(x.recent[n])
		n++
	}
	x.dropRecent(n)
}

func (x *index) dropRecent(n int) {
	clear(x.recent[:n])
	x.recent = x.recent[n:]
}

// compact drops the entries up to and including to.
func (x *index) compact(to, term uint64) {
	if to < x.base {
		return
	}
	n := to - x.base
	x.places = slices.Clone(x.places[n:])
	if kept := uint64(len(x.places)); kept < uint64(len(x.recent)) {
		drop := len(x.recent) - int(kept)
		for _, e := range x.recent[:drop] {
			x.recentBytes -= entryBytes(e)
		}
		x.dropRecent(drop)
	}
	x.base, x.baseTerm = to, term
	for len(x.runs) > 1 && x.runs[1].first <= to+1 {
		x.runs = x.runs[1:]
	}
}

// term returns the term of entry i, which is between base and last.
func (x *index) term(i uint64) uint64 {
	if i == x.base {
		return x.baseTerm
	}
	n := sort.Search(len(x.runs), func(n int) bool { return x.runs[n].first > i })
	return x.runs[n-1].term
}

func (x *index) place(i uint64) place { return x.places[i-x.base-1] }

func (x *index) firstPlace() (place, bool) {
	if len(x.places) == 0 {
		return place{}, false
	}
	return x.places[0], true
}

// firstRecent is the index of the oldest entry in memory.
func (x *index) firstRecent() uint64 { return x.last() + 1 - uint64(len(x.recent)) }
