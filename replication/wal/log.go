package wal

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Write is what one Save makes durable.
type Write struct {
	HardState *pb.HardState // nil: unchanged
	Entries   []*pb.Entry   // replace all entries at and after the first one's index
	Snapshot  *pb.SnapshotMetadata
	Sync      bool
}

// Log is the log of one node.
type Log struct {
	fs       disk.FS
	dir      string
	options  Options
	buf      []byte // of Save, reused
	failed   error  // the first error of a write; every later call returns it
	opened   bool
	noted    Floor  // as last passed to KeepFloor
	unowned  uint64 // see Unowned
	remover  remover
	preparer preparer

	mu       sync.RWMutex // guards the fields below; never held for writing during IO
	hard     *pb.HardState
	mark     *pb.SnapshotMetadata // where the log begins, and the configuration there
	index    index
	segments []*segment // by sequence; the last one is written to
	bytes    int64      // of all segments
}

// segment is one file. It stays open for reading.
type segment struct {
	seq    uint64
	file   disk.File
	size   int64 // bytes written
	room   int64 // a segment is full when it has this size; of the last one
	got    int64 // bytes that were reserved on the disk; of the last one
	synced int64 // bytes synced; only kept for the segment that is written to
}

// errClosed is the cause of every failure after Close.
var errClosed = errors.New("log is closed")

func segmentName(dir string, seq uint64) string {
	return filepath.Join(dir, fmt.Sprintf("%016x.wal", seq))
}

// parseSegmentName returns the sequence of a segment's file name.
func parseSegmentName(name string) (seq uint64, ok bool) {
	if len(name) != 20 || name[16:] != ".wal" {
		return 0, false
	}
	seq, err := strconv.ParseUint(name[:16], 16, 64)
	return seq, err == nil
}

// Save makes w durable, with one write and at most one sync, and then readable.
// If the error is ErrFull nothing was written, and the same Save may be tried again.
// After any other error the contents of the disk are unknown: the log cannot be used
// any more, and the process must exit.
func (l *Log) Save(w Write) error {
	if l.failed != nil {
		return l.failed
	}
	err := l.save(&w)
	if err != nil {
		err = fmt.Errorf("save: %w", err)
		if !errors.Is(err, ErrFull) {
			l.failed = err
		}
	}
	return err
}

func (l *Log) save(w *Write) error {
	base, last := l.index.base, l.index.last()
	if w.Snapshot != nil {
		base, last = w.Snapshot.GetIndex(), w.Snapshot.GetIndex()
	}
	if err := checkIndexes(w.Entries, base, last); err != nil {
		return err
	}
	if err := l.lower(lastKept(w)); err != nil {
		return err
	}
	if err := l.rotateIfFull(); err != nil {
		return err
	}
	seg := l.segments[len(l.segments)-1]
	l.buf = l.buf[:0]
	if w.Snapshot != nil {
		if err := l.add(seg, kindRestart, w.Snapshot); err != nil {
			return err
		}
	}
	places := make([]place, 0, len(w.Entries))
	for _, e := range w.Entries {
		places = append(places, place{seq: seg.seq, offset: uint32(seg.size) + uint32(len(l.buf))})
		if err := l.add(seg, kindEntry, e); err != nil {
			return err
		}
	}
	if w.HardState != nil {
		if err := l.add(seg, kindHardState, w.HardState); err != nil {
			return err
		}
	}
	if err := l.reserve(seg); err != nil {
		return err
	}
	if err := l.write(seg, w.Sync); err != nil {
		return err
	}
	voted := w.HardState != nil && (w.HardState.GetTerm() != l.hard.GetTerm() || w.HardState.GetVote() != l.hard.GetVote())
	l.include(w, places)
	switch {
	case !w.Sync:
		return nil
	case voted || w.Snapshot != nil:
		return l.note(noteSoon)
	default:
		return l.note(noteLater)
	}
}

// include makes readable what was written.
func (l *Log) include(w *Write, places []place) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if w.HardState != nil {
		l.hard = proto.CloneOf(w.HardState)
	}
	if w.Snapshot != nil {
		l.restart(w.Snapshot)
	}
	l.index.append(w.Entries, places)
}

// add appends an encoded record to the buffer.
func (l *Log) add(seg *segment, kind recordKind, m proto.Message) (err error) {
	start := len(l.buf)
	l.buf = beginRecord(l.buf)
	if l.buf, err = (proto.MarshalOptions{}).MarshalAppend(l.buf, m); err != nil {
		return fmt.Errorf("encode record of kind %d: %w", kind, err)
	}
	if n := len(l.buf) - start - recordHeaderBytes; n > payloadBytesMax {
		return fmt.Errorf("record of %d bytes, at most %d are allowed", n, payloadBytesMax)
	}
	finishRecord(l.buf[start:], kind, seg.seq, seg.size+int64(start), seg.synced)
	return nil
}

// write writes the buffer to the end of the segment.
func (l *Log) write(seg *segment, sync bool) error {
	if _, err := seg.file.Write(l.buf); err != nil {
		return fmt.Errorf("write %d bytes to segment %d: %w", len(l.buf), seg.seq, err)
	}
	if sync {
		if err := seg.file.Sync(); err != nil {
			return fmt.Errorf("sync segment %d: %w", seg.seq, err)
		}
	}
	l.mu.Lock()
	seg.size += int64(len(l.buf))
	if sync {
		seg.synced = seg.size
	}
	l.bytes += int64(len(l.buf))
	l.mu.Unlock()
	return nil
}

// restart empties the log, which then begins after a snapshot.
func (l *Log) restart(mark *pb.SnapshotMetadata) {
	l.mark = proto.CloneOf(mark)
	l.index = newIndex(mark.GetIndex(), mark.GetTerm(), l.options.MemoryBytesMax)
	l.raiseCommit()
}

// raiseCommit raises the commit index to the mark. Everything in a snapshot is
// committed, even if the commit index was not synced.
func (l *Log) raiseCommit() {
	if l.mark.GetIndex() > l.hard.GetCommit() {
		l.hard.Commit = new(l.mark.GetIndex())
	}
}

// rotateIfFull begins a new segment if the last one is full.
func (l *Log) rotateIfFull() error {
	last := l.segments[len(l.segments)-1]
	if last.size < last.room {
		return nil
	}
	if err := last.file.Sync(); err != nil { // an unsynced commit index may be in it
		return fmt.Errorf("sync full segment %d: %w", last.seq, err)
	}
	if err := l.begin(last.seq + 1); err != nil {
		return err
	}
	return l.note(noteSoon)
}

// lastSize is the size of the last segment, 0 if there is none.
func (l *Log) lastSize() int64 {
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].size
}

// begin begins a new segment, which starts with the hard state and the mark.
func (l *Log) begin(seq uint64) error {
	f, err := l.newFile(seq)
	if err != nil {
		return fmt.Errorf("begin segment %d: %w", seq, err)
	}
	seg := &segment{seq: seq, file: f, room: l.preparer.bytes, got: l.preparer.bytes}
	l.buf = appendSegmentHeader(l.buf[:0], &segmentHeader{seq: seq, before: l.lastSize(), owner: l.options.Owner})
	err = l.add(seg, kindCompacted, l.mark)
	if err == nil {
		err = l.add(seg, kindHardState, l.hard)
	}
	if err == nil {
		err = l.write(seg, true)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("begin segment %d: %w", seq, err), f.Close())
	}
	l.mu.Lock()
	l.segments = append(l.segments, seg)
	l.mu.Unlock()
	l.preparer.bytes = min(l.options.SegmentBytes, max(MinSegmentBytes, l.bytes+seg.room))
	if l.options.Background {
		l.preparer.prepare(seq + 1)
	}
	return nil
}

// Compact drops the entries up to and including index. A durable snapshot must
// cover them. The index and term at the new beginning stay known.
func (l *Log) Compact(index uint64) error {
	if l.failed != nil {
		return l.failed
	}
	term, err := l.Term(index)
	if err != nil {
		return fmt.Errorf("compact to %d: %w", index, err)
	}
	if l.segments[len(l.segments)-1].room == 0 { // it is of an earlier start, see open
		if err := l.rotateIfFull(); errors.Is(err, ErrFull) {
			return nil // the log stays as it is until a later compaction
		} else if err != nil {
			l.failed = fmt.Errorf("compact to %d: %w", index, err)
			return l.failed
		}
	}
	if err := l.compact(index, term); err != nil {
		l.failed = fmt.Errorf("compact to %d: %w", index, err)
		return l.failed
	}
	return nil
}

func (l *Log) compact(index, term uint64) error {
	l.mu.Lock()
	mark := &pb.SnapshotMetadata{ConfState: l.mark.GetConfState(), Index: new(index), Term: new(term)}
	l.mark = mark
	l.raiseCommit()
	l.index.compact(index, term)
	l.mu.Unlock()

	seg := l.segments[len(l.segments)-1]
	l.buf = l.buf[:0]
	if err := l.add(seg, kindHardState, l.hard); err != nil {
		return err
	}
	if err := l.add(seg, kindCompacted, mark); err != nil {
		return err
	}
	if err := l.write(seg, true); err != nil {
		return err
	}
	return l.removeUnneeded()
}

// removeUnneeded removes the segments before the first one that holds an entry of
// the log.
func (l *Log) removeUnneeded() error {
	l.mu.Lock()
	first := l.segments[len(l.segments)-1].seq
	if p, ok := l.index.firstPlace(); ok {
		first = p.seq
	}
	n := 0
	for l.segments[n].seq < first {
		l.bytes -= l.segments[n].size
		n++
	}
	gone := l.segments[:n:n]
	l.segments = l.segments[n:]
	l.mu.Unlock()
	return l.remover.remove(gone)
}

// Unowned is the last segment of a version that names no owner, as Open found it, and 0
// if there is none: Options.Unowned of the next Open.
func (l *Log) Unowned() uint64 { return l.unowned }

// SizeBytes is the size of all segments.
func (l *Log) SizeBytes() int64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.bytes
}

// Close syncs what was not synced and closes the files. After a failure it only
// closes them.
func (l *Log) Close() error {
	var errs []error
	if l.failed == nil && l.opened {
		errs = append(errs, l.settle())
	}
	if l.failed == nil {
		l.failed = errClosed
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	errs = append(errs, l.remover.close(), l.preparer.close())
	for _, seg := range l.segments {
		errs = append(errs, seg.file.Close())
	}
	l.segments = nil
	return errors.Join(errs...)
}

// settle makes everything durable, and what there is the floor.
func (l *Log) settle() error {
	seg := l.segments[len(l.segments)-1]
	if seg.synced < seg.size {
		if err := seg.file.Sync(); err != nil {
			return fmt.Errorf("sync segment %d: %w", seg.seq, err)
		}
	}
	return l.note(noteNow)
}
