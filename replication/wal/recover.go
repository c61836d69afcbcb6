package wal

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Open opens the log in dir, or creates it with Options.Bootstrap as its
// configuration. A *CorruptError or a *LostError reports that synced data was lost, a
// *ForeignError that the log, or a part of it, is that of another data folder.
func Open(fs disk.FS, dir string, o Options) (*Log, error) {
	if o.SegmentBytes == 0 {
		o.SegmentBytes = DefaultSegmentBytes
	}
	if o.MemoryBytesMax == 0 {
		o.MemoryBytesMax = DefaultMemoryBytesMax
	}
	l := &Log{fs: fs, dir: dir, options: o, hard: &pb.HardState{}}
	l.remover = remover{fs: fs, dir: dir, background: o.Background}
	l.preparer = preparer{fs: fs, dir: dir, bytes: min(o.SegmentBytes, MinSegmentBytes)}
	l.mark = &pb.SnapshotMetadata{ConfState: o.Bootstrap, Index: new(uint64(0)), Term: new(uint64(0))}
	l.index = newIndex(0, 0, o.MemoryBytesMax)
	if err := l.open(); err != nil {
		return nil, errors.Join(fmt.Errorf("open log %q: %w", dir, err), l.Close())
	}
	return l, nil
}

func (l *Log) open() error {
	if l.options.Salvage != nil {
		return l.salvage()
	}
	if err := disk.MakeSubdir(l.fs, l.dir); err != nil {
		return err
	}
	seqs, err := l.list()
	if err != nil {
		return err
	}
	if seqs, err = l.dropBlank(seqs); err != nil {
		return err
	}
	next := max(1, l.options.First)
	if len(seqs) > 0 {
		if err := l.recover(seqs); err != nil {
			return err
		}
		next = seqs[0] + uint64(len(l.segments))
		seqs = seqs[:len(l.segments)] // without the last one, if it had no header
	}
	if err := l.checkFloor(seqs); err != nil {
		return err
	}
	l.preparer.bytes = min(l.options.SegmentBytes, max(MinSegmentBytes, l.bytes))
	if err := l.begin(next); err != nil && (!errors.Is(err, ErrFull) || len(l.segments) == 0) {
		return err // otherwise the first write begins it, as soon as there is room
	}
	l.opened = true
	// From now on others may rely on what was recovered: a floor below it would be
	// no help if the log disappeared.
	return l.note(noteNow)
}

// list returns the sequence numbers of the segments, which must have no gap, and
// removes incomplete files.
func (l *Log) list() ([]uint64, error) {
	names, err := l.fs.List(l.dir)
	if err != nil {
		return nil, err
	}
	var seqs []uint64
	for _, name := range names {
		if seq, ok := parseSegmentName(name); ok {
			seqs = append(seqs, seq)
		} else if l.options.Salvage != nil {
			continue
		} else if err := l.fs.Remove(filepath.Join(l.dir, name)); err != nil {
			return nil, fmt.Errorf("remove unfinished file: %w", err)
		}
	}
	slices.Sort(seqs)
	for i := 1; i < len(seqs); i++ {
		if seqs[i] == seqs[i-1]+1 {
			continue
		}
		if err := l.damaged(&CorruptError{File: segmentName(l.dir, seqs[i-1]+1), Reason: "the segment is missing"}); err != nil {
			return nil, err
		}
	}
	return seqs, nil
}

// dropBlank removes the last segment if it was only prepared. The one before it is
// then the last that was written to, and may end with a torn write.
func (l *Log) dropBlank(seqs []uint64) ([]uint64, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	last := len(seqs) - 1
	name := segmentName(l.dir, seqs[last])
	b, err := disk.ReadFile(l.fs, name)
	if err != nil || len(bytes.TrimRight(b, "\x00")) > 0 {
		return seqs, err
	}
	if l.options.Salvage != nil {
		return seqs[:last], nil
	}
	if err := l.fs.Remove(name); err != nil {
		return nil, fmt.Errorf("remove unused segment: %w", err)
	}
	return seqs[:last], nil
}

// sizes returns the sizes of the segments, and their sum.
func (l *Log) sizes(seqs []uint64) (sizes []int64, total int64, err error) {
	for _, seq := range seqs {
		f, err := l.fs.Open(segmentName(l.dir, seq))
		if err != nil {
			return nil, 0, err
		}
		n, err := f.Size()
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, 0, err
		}
		sizes, total = append(sizes, n), total+n
	}
	return sizes, total, nil
}

// recovery is the state of reading the segments.
type recovery struct {
	log *Log
	buf []byte // for a segment, reused

	// floating is set while it is unknown whether the entries follow the mark
	// directly: segments in between may have been removed. The log then begins with
	// the first entry that comes, or with a later one of a lower index, and a
	// later mark must cover the missing entries.
	floating bool

	suspect bool // there was damage after the last entry; only with Options.Salvage
}

func (l *Log) recover(seqs []uint64) error {
	r := recovery{log: l, floating: true}
	sizes, total, err := l.sizes(seqs)
	if err != nil {
		return err
	}
	done := int64(0)
	for i, seq := range seqs {
		if err := r.segment(seq, i == len(seqs)-1); err != nil {
			return err
		}
		if done += sizes[i]; l.options.Progress != nil {
			l.options.Progress(done, total)
		}
	}
	if l.mark.GetIndex() < l.index.base && !l.options.Salvage.covers(l.index.base) {
		err := l.damaged(&CorruptError{
			File:   segmentName(l.dir, seqs[0]),
			Reason: fmt.Sprintf("entries %d to %d are missing", l.mark.GetIndex()+1, l.index.base),
		})
		if err != nil {
			return err
		}
	}
	l.index.compact(l.mark.GetIndex(), l.mark.GetTerm())
	l.raiseCommit()
	if term := l.index.term(l.index.last()); term > l.hard.GetTerm() {
		// The entries of a torn write came without their hard state.
		l.hard.Term, l.hard.Vote = new(term), new(uint64(0))
	}
	if l.hard.GetCommit() > l.index.last() && !l.options.Salvage.covers(l.hard.GetCommit()) {
		return l.damaged(&CorruptError{
			File:   segmentName(l.dir, seqs[len(seqs)-1]),
			Reason: fmt.Sprintf("committed entries %d to %d are missing", l.index.last()+1, l.hard.GetCommit()),
		})
	}
	return nil
}

// segment reads one segment and opens it for reading, without the zeros and the
// torn write at its end.
func (r *recovery) segment(seq uint64, last bool) error {
	name := segmentName(r.log.dir, seq)
	b, err := disk.ReadFileInto(r.log.fs, name, r.buf)
	if err != nil {
		return err
	}
	r.buf = b
	h, length, ok := readSegmentHeader(b)
	switch {
	case ok:
		err = r.header(name, seq, &h)
	case !last || seq <= r.log.options.Floor.Segment || findRecord(b, 0, seq) >= 0:
		err = &CorruptError{File: name, Reason: "the header is not that of a segment"}
	default:
		return r.dropHeadless(name, seq)
	}
	if err = r.damaged(err); err != nil {
		return err
	}
	end := length
	for {
		if end, err = r.records(name, seq, b, end); err != nil {
			return err
		}
		if len(bytes.TrimRight(b[end:], "\x00")) == 0 || last && tornAt(b, end, seq) {
			return r.keep(name, seq, b[:end], len(b))
		}
		if err = r.damaged(&CorruptError{File: name, Offset: int64(end), Reason: "a record is damaged that was synced"}); err != nil {
			return err
		}
		next := findRecord(b, end+1, seq)
		if next < 0 {
			return r.keep(name, seq, b[:end], len(b))
		}
		end = next
	}
}

// dropHeadless removes the last segment, which has no header and no record. A segment gets
// its name before its header is synced, and the one before it is synced by then. The next
// segment gets its number.
func (r *recovery) dropHeadless(name string, seq uint64) error {
	l := r.log
	if l.options.Salvage != nil {
		return r.keepAsIs(name, seq, 0)
	}
	if err := l.fs.Remove(name); err != nil {
		return fmt.Errorf("remove segment without a header: %w", err)
	}
	return nil
}

// header checks the header of segment seq.
func (r *recovery) header(name string, seq uint64, h *segmentHeader) error {
	l := r.log
	if err := l.options.checkOwner(name, h); err != nil {
		return err
	}
	if h.seq != seq {
		return &CorruptError{File: name, Reason: fmt.Sprintf("it is segment %d under another name", h.seq)}
	}
	if last := len(l.segments) - 1; last >= 0 && l.segments[last].seq+1 == seq && h.before != l.lastSize() {
		return &CorruptError{
			File:   segmentName(l.dir, seq-1),
			Offset: l.lastSize(), Reason: fmt.Sprintf("%d bytes were written to it", h.before),
		}
	}
	if !h.owned {
		l.unowned = seq
	}
	return nil
}

// records applies the records of a segment, after the header of the given length, up to
// the first bad one, and returns the offset of that.
func (r *recovery) records(name string, seq uint64, b []byte, header int) (end int, err error) {
	end = min(len(b), header)
	for end < len(b) {
		rec, ok := readRecord(b[end:], seq, int64(end))
		if !ok {
			break
		}
		if err := r.record(&rec, place{seq: seq, offset: uint32(end)}); err != nil {
			if err := r.damaged(&CorruptError{File: name, Offset: int64(end), Reason: err.Error()}); err != nil {
				return 0, err
			}
		}
		end += recordHeaderBytes + len(rec.payload)
	}
	return end, nil
}

// keep opens a segment for reading. It first cuts the segment to its valid part,
// because a later recovery must not find a torn write in the middle of the log. It cuts it
// in place: a copy would need room, and a server with a full disk could not start.
//
// A crash may leave any part of what is cut off. That is recognized again: less of zeros is
// zeros, and of a torn write the sectors that never came are missing, or are beyond the end.
func (r *recovery) keep(name string, seq uint64, valid []byte, size int) error {
	l := r.log
	if l.options.Salvage != nil {
		return r.keepAsIs(name, seq, int64(len(valid)))
	}
	if size != len(valid) {
		if err := l.cut(name, int64(len(valid))); err != nil {
			return fmt.Errorf("cut segment %d to %d bytes: %w", seq, len(valid), err)
		}
	}
	f, err := l.fs.Open(name)
	if err != nil {
		return err
	}
	// The cut must be durable before anything else is written. And the last process may have
	// ended between a write and its sync.
	if err := f.Sync(); err != nil {
		return errors.Join(fmt.Errorf("sync segment %d: %w", seq, err), f.Close())
	}
	l.segments = append(l.segments, &segment{seq: seq, file: f, size: int64(len(valid))})
	l.bytes += int64(len(valid))
	return nil
}

// cut cuts a segment to its first bytes. The caller syncs it.
func (l *Log) cut(name string, size int64) error {
	f, err := l.fs.Edit(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Truncate(size), f.Close())
}

// record applies one record.
func (r *recovery) record(rec *record, at place) error {
	l, payload := r.log, rec.payload
	switch rec.kind {
	case kindHardState:
		hs := new(pb.HardState)
		if err := proto.Unmarshal(payload, hs); err != nil {
			return fmt.Errorf("decode hard state: %w", err)
		}
		l.hard = hs
	case kindEntry:
		e, err := readEntryHead(payload)
		if err != nil {
			return fmt.Errorf("decode entry: %w", err)
		}
		return r.entry(e, at)
	default:
		m := new(pb.SnapshotMetadata)
		if err := proto.Unmarshal(payload, m); err != nil {
			return fmt.Errorf("decode mark: %w", err)
		}
		r.mark(rec.kind, m)
	}
	return nil
}

// entry adds an entry's position to the index. The entry itself is not kept in
// memory: few of them will be read, and a log may be large.
func (r *recovery) entry(e entryHead, at place) error {
	l := r.log
	if l.options.Salvage != nil && !r.follows(e) {
		return nil
	}
	if base := l.index.base; e.index == base+1 && base == l.mark.GetIndex() {
		r.floating = false
	}
	if r.floating && (len(l.index.places) == 0 || e.index <= l.index.base) {
		l.index = newIndex(e.index-1, 0, l.options.MemoryBytesMax)
	} else if e.index <= l.index.base {
		return fmt.Errorf("entry %d was compacted", e.index)
	}
	if last := l.index.last(); e.index > last+1 {
		return fmt.Errorf("entry %d does not fit a log of entries %d to %d", e.index, l.index.base+1, last)
	}
	l.index.add(e, at)
	return nil
}

func (r *recovery) mark(kind recordKind, m *pb.SnapshotMetadata) {
	l := r.log
	if s := l.options.Salvage; s != nil && !s.covers(m.GetIndex()) {
		return // its snapshot is lost: what was before it counts, if anything
	}
	l.mark = m
	if kind == kindRestart || m.GetIndex() > l.index.last() {
		// After a restart, or if the previous segments were removed.
		l.index = newIndex(m.GetIndex(), m.GetTerm(), l.options.MemoryBytesMax)
		r.floating = kind == kindCompacted
	}
}
