package wal

import (
	"errors"
	"fmt"

	"raftcached/replication/disk"
)

// compactBytes stays free in the last segment for the records of compactions, which
// are what makes room.
const compactBytes = 4 << 10

// leastSegmentBytes is the size of a segment on a disk that has no room for a usual one. A
// server that starts on a full disk has at least what it has cut off from the segment before.
const leastSegmentBytes = 64 << 10

// ErrFull reports that the disk has no room for a write. Nothing of it was written:
// the log is as it was before, and can be compacted. It is found while space is
// reserved. On a file system that cannot reserve any, a write itself fails, and that
// is final.
var ErrFull = errors.New("the disk is full")

// full makes an error ErrFull if it says that the disk is full.
func full(err error) error {
	if disk.IsFull(err) {
		return fmt.Errorf("%w: %w", ErrFull, err)
	}
	return err
}

// reserve makes sure that the buffer, and compactions after it, fit the space that is
// reserved for a segment.
func (l *Log) reserve(seg *segment) error {
	need := seg.size + int64(len(l.buf)) + compactBytes
	if need <= seg.got {
		return nil
	}
	if err := seg.file.Preallocate(need); err != nil {
		return fmt.Errorf("reserve %d bytes in segment %d: %w", need-seg.got, seg.seq, full(err))
	}
	seg.got = need
	return nil
}

// newFile returns the file of a new segment, whose name is durable. It uses the
// prepared one if there is one. If there is not enough room for the usual size, the
// segment is smaller.
func (l *Log) newFile(seq uint64) (disk.File, error) {
	s := l.preparer.take()
	if s.complete {
		return s.file, nil
	}
	for {
		f, err := l.allocate(segmentName(l.dir, seq), s.file)
		if err == nil {
			return f, nil
		}
		if !errors.Is(err, ErrFull) || l.preparer.bytes <= leastSegmentBytes {
			return nil, err
		}
		l.preparer.bytes = max(leastSegmentBytes, l.preparer.bytes/2)
		s.file = nil
	}
}

// allocate reserves the space of a segment in f, or in a new file if f is nil. After
// an error nothing is left of it.
func (l *Log) allocate(name string, f disk.File) (disk.File, error) {
	if f == nil {
		var err error
		if f, err = l.fs.Create(name); err != nil {
			return nil, fmt.Errorf("create it: %w", full(err))
		}
	}
	err := full(f.Preallocate(l.preparer.bytes))
	if err == nil {
		err = full(l.fs.SyncDir(l.dir))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("reserve its space: %w", err), f.Close(), l.fs.Remove(name))
	}
	return f, nil
}
