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

// Entries implements raft.Storage. The entries are shared with the log and must
// not be changed.
func (l *Log) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	switch {
	case lo <= l.index.base:
		return nil, raft.ErrCompacted
	case hi > l.index.last()+1:
		return nil, raft.ErrUnavailable
	}
	var (
		ents   []*pb.Entry
		size   uint64
		recent = l.index.firstRecent()
	)
	for i := lo; i < hi; i++ {
		var e *pb.Entry
		if i >= recent {
			e = l.index.recent[i-recent]
		} else {
			var err error
			if e, err = l.readEntry(i); err != nil {
				return nil, err
			}
		}
		if size += uint64(entryBytes(e)); size > maxSize && len(ents) > 0 {
			break
		}
		ents = append(ents, e)
	}
	return ents, nil
}

// readEntry reads an entry from its segment. The lock keeps the file open.
func (l *Log) readEntry(i uint64) (*pb.Entry, error) {
	at := l.index.place(i)
	seg := l.segment(at.seq)
	if seg == nil {
		return nil, fmt.Errorf("read entry %d: %w", i, errClosed)
	}
	head := make([]byte, recordHeaderBytes)
	if _, err := seg.file.ReadAt(head, int64(at.offset)); err != nil {
		return nil, fmt.Errorf("read entry %d: %w", i, err)
	}
	length, ok := readRecordHeader(head, at.seq, int64(at.offset))
	if !ok {
		return nil, l.corrupt(at, "an entry that was readable no longer is")
	}
	b := make([]byte, recordHeaderBytes+length)
	if _, err := seg.file.ReadAt(b, int64(at.offset)); err != nil {
		return nil, fmt.Errorf("read entry %d: %w", i, err)
	}
	e := new(pb.Entry)
	rec, ok := readRecord(b, at.seq, int64(at.offset))
	if !ok || rec.kind != kindEntry || proto.Unmarshal(rec.payload, e) != nil || e.GetIndex() != i {
		return nil, l.corrupt(at, "an entry that was readable no longer is")
	}
	return e, nil
}

func (l *Log) corrupt(at place, reason string) error {
	return &CorruptError{File: segmentName(l.dir, at.seq), Offset: int64(at.offset), Reason: reason}
}

func (l *Log) segment(seq uint64) *segment {
	i, found := slices.BinarySearchFunc(l.segments, seq, func(s *segment, seq uint64) int { return cmp.Compare(s.seq, seq) })
	if !found {
		return nil
	}
	return l.segments[i]
}
