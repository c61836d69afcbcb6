package wal

import (
	"cmp"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// InitialState implements raft.Storage: the hard state and the configuration at
// the log's beginning.
func (l *Log) InitialState() (*pb.HardState, *pb.ConfState, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return proto.CloneOf(l.hard), proto.CloneOf(l.mark.GetConfState()), nil
}

// FirstIndex implements raft.Storage.
func (l *Log) FirstIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.base + 1, nil
}

// LastIndex implements raft.Storage.
func (l *Log) LastIndex() (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.index.last(), nil
}

// Term implements raft.Storage.
func (l *Log) Term(i uint64) (uint64, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case i < l.index.base:
		return 0, raft.ErrCompacted
	case i > l.index.last():
		return 0, raft.ErrUnavailable
	}
	return l.index.term(i), nil
}

// Recent returns the entries from lo on, up to hi and maxSize like Entries, if all of
// them that the log has are in memory. It waits for no disk.
func (l *Log) Recent(lo, hi, maxSize uint64) (ents []*pb.Entry, ok bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if recent := l.index.firstRecent(); lo >= recent && lo < hi && hi <= l.index.last()+1 {
		return limitBytes(l.index.recent[lo-recent:hi-recent], maxSize), true
	}
	return nil, false
}

// Heads returns the first entries from lo on, up to hi, without their data. It waits for
// no disk.
func (l *Log) Heads(lo, hi uint64) ([]*pb.Entry, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.index.check(lo, hi); err != nil {
		return nil, err
	}
	ents := make([]*pb.Entry, 0, min(hi-lo, 4096))
	for i := lo; i < hi && len(ents) < cap(ents); i++ {
		ents = append(ents, &pb.Entry{Index: new(i), Term: new(l.index.term(i)), Type: pb.EntryType(l.index.place(i).kind).Enum()})
	}
	return ents, nil
}

// limitBytes returns a copy of the first entries, at least one, that have at most maxSize
// bytes.
func limitBytes(ents []*pb.Entry, maxSize uint64) []*pb.Entry {
	n, size := 0, uint64(0)
	for _, e := range ents {
		if size += uint64(entryBytes(e)); size > maxSize && n > 0 {
			break
		}
		n++
	}
	return slices.Clone(ents[:n])
}

// Entries implements raft.Storage. The entries are shared with the log and must
// not be changed. Those that are not in memory are read from their segment, without
// the lock: nobody waits for the disk but the caller.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	var all []*pb.Entry
	for {
		p, err := l.plan(lo, hi, maxSize)
		if err != nil {
			return nil, err
		}
		if n := len(all); n > 0 && p.before != all[n-1].GetTerm() {
			return all, nil // the log was replaced behind what was read
		}
		ents := p.ents
		if p.places != nil {
			ents, err = p.read(lo)
			if !l.holds(&p, lo) {
				continue // the log was cut, or entries replaced, while they were read
			}
			if err != nil {
				return nil, err
			}
			ents = limitBytes(ents, maxSize)
		}
		if len(all) > 0 && len(ents) > 0 && uint64(entryBytes(ents[0])) > maxSize {
			return all, nil
		}
		all = append(all, ents...)
		lo += uint64(len(ents))
		if full := takeBytes(&maxSize, ents); full || len(ents) == 0 || lo >= hi {
			return all, nil
		}
	}
}

// takeBytes takes the bytes of the entries off what is left, and reports whether that is
// all of it.
func takeBytes(left *uint64, ents []*pb.Entry) (full bool) {
	for _, e := range ents {
		*left -= min(*left, uint64(entryBytes(e)))
	}
	return *left == 0
}

// readPlan is where entries are: in memory, or at places of one segment.
type readPlan struct {
	before uint64 // term of the entry before the first one
	ents   []*pb.Entry
	seg    *segment
	name   string
	places []place // of the entries, from the first on
	end    int64   // of the last one
}

// plan finds out where the entries from lo on are.
func (l *Log) plan(lo, hi, maxSize uint64) (p readPlan, err error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if err := l.index.check(lo, hi); err != nil {
		return p, err
	}
	recent := l.index.firstRecent()
	p.before = l.index.term(lo - 1)
	if lo >= hi {
		return p, nil
	}
	if lo >= recent {
		p.ents = limitBytes(l.index.recent[lo-recent:hi-recent], maxSize)
		return p, nil
	}
	at := l.index.place(lo)
	p.seg, p.name = l.segment(at.seq), segmentName(l.dir, at.seq)
	if p.seg == nil {
		return p, fmt.Errorf("read entry %d: %w", lo, errClosed)
	}
	i := lo
	for ; i < min(hi, recent); i++ {
		next := l.index.place(i)
		if next.seq != at.seq || i > lo && uint64(next.offset-at.offset) > maxSize {
			break
		}
		p.places = append(p.places, next)
	}
	p.end = min(p.seg.size, int64(p.places[len(p.places)-1].offset)+recordHeaderBytes+payloadBytesMax)
	if i <= l.index.last() {
		if next := l.index.place(i); next.seq == at.seq {
			p.end = min(p.end, int64(next.offset))
		}
	}
	return p, nil
}

// holds reports whether the entries still are where the plan has them.
func (l *Log) holds(p *readPlan, lo uint64) bool {
	l.mu.RLock()
	defer l.mu.RUnlock()
	end := lo + uint64(len(p.places))
	if lo <= l.index.base || end > l.index.last()+1 || l.segments == nil {
		return false
	}
	for i, at := range p.places {
		if l.index.place(lo+uint64(i)) != at {
			return false
		}
	}
	return true
}

// read reads the entries of a plan, which begin with lo, at once.
func (p *readPlan) read(lo uint64) ([]*pb.Entry, error) {
	start := int64(p.places[0].offset)
	b := make([]byte, p.end-start)
	if _, err := p.seg.file.ReadAt(b, start); err != nil {
		return nil, fmt.Errorf("read entries from %d on: %w", lo, err)
	}
	ents := make([]*pb.Entry, 0, len(p.places))
	for i, at := range p.places {
		e := new(pb.Entry)
		rec, ok := readRecord(b[int64(at.offset)-start:], at.seq, int64(at.offset))
		if !ok || rec.kind != kindEntry || proto.Unmarshal(rec.payload, e) != nil || e.GetIndex() != lo+uint64(i) {
			return nil, &CorruptError{File: p.name, Offset: int64(at.offset), Reason: "an entry that was readable no longer is"}
		}
		ents = append(ents, e)
	}
	return ents, nil
}

func (l *Log) segment(seq uint64) *segment {
	i, found := slices.BinarySearchFunc(l.segments, seq, func(s *segment, seq uint64) int { return cmp.Compare(s.seq, seq) })
	if !found {
		return nil
	}
	return l.segments[i]
}
