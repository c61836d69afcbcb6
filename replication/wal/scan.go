package wal

import (
	"bytes"
	"errors"
	"fmt"
	iofs "io/fs"

	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Piece is a part of a log as it stands in a segment. One of the fields from Begins on is
// set.
type Piece struct {
	Segment uint64 // sequence number
	File    string
	Offset  int64

	Begins    *Header
	HardState *pb.HardState
	Entry     *pb.Entry
	Mark      *Mark
	Damage    string // what is wrong here
	Note      string // what is here and is no record
}

// Header is what a segment says of itself.
type Header struct {
	Owned bool // false: it is of a version that names no owner
	Owner Owner
	Bytes int64 // size of the file, with what is reserved
}

// Mark says where the log begins.
type Mark struct {
	*pb.SnapshotMetadata
	Restart bool // what was before it does not count
}

// Scan calls visit with every part of the log in dir, in the order of the files, until
// visit returns an error. It changes nothing and goes on after damage. Entries that later
// ones replace are visited too.
func Scan(fs disk.FS, dir string, visit func(*Piece) error) error {
	l := &Log{fs: fs, dir: dir, options: Options{Salvage: &Salvage{}}}
	var missing []*CorruptError
	l.options.Salvage.Damaged = func(err error) {
		if c, ok := errors.AsType[*CorruptError](err); ok {
			missing = append(missing, c)
		}
	}
	seqs, err := l.list()
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	for i, seq := range seqs {
		if len(missing) > 0 && missing[0].File < segmentName(dir, seq) {
			if err := visit(&Piece{File: missing[0].File, Damage: missing[0].Reason}); err != nil {
				return err
			}
			missing = missing[1:]
		}
		s := scan{fs: fs, seq: seq, name: segmentName(dir, seq), last: i == len(seqs)-1, visit: visit}
		if err := s.segment(); err != nil {
			return err
		}
	}
	return nil
}

// scan reads one segment.
type scan struct {
	fs    disk.FS
	seq   uint64
	name  string
	last  bool
	visit func(*Piece) error
}

// tell visits a piece.
func (s *scan) tell(at int, p Piece) error {
	p.Segment, p.File, p.Offset = s.seq, s.name, int64(at)
	return s.visit(&p)
}

func (s *scan) segment() error {
	b, err := disk.ReadFile(s.fs, s.name)
	if err != nil {
		return s.tell(0, Piece{Damage: fmt.Sprintf("it cannot be read: %v", err)})
	}
	if zeros(b) {
		return s.tell(0, Piece{Note: fmt.Sprintf("%d bytes were made ready, nothing is written to them", len(b))})
	}
	h, at, ok := readSegmentHeader(b)
	switch {
	case !ok:
		err = s.tell(0, Piece{Damage: "the header is not that of a segment"})
		at = max(0, findRecord(b, 0, s.seq))
	case h.seq != s.seq:
		err = s.tell(0, Piece{Damage: fmt.Sprintf("it is segment %d under another name", h.seq)})
	default:
		err = s.tell(0, Piece{Begins: &Header{Owned: h.owned, Owner: h.owner, Bytes: int64(len(b))}})
	}
	for err == nil && at < len(b) {
		rec, ok := readRecord(b[at:], s.seq, int64(at))
		switch {
		case ok:
			err = s.record(at, &rec)
			at += recordHeaderBytes + len(rec.payload)
			continue
		case zeros(b[at:]):
			return nil
		case s.last && tornAt(b, at, s.seq):
			return s.tell(at, Piece{Note: "a write was not finished, and was never acknowledged"})
		}
		next := findRecord(b, at+1, s.seq)
		if next < 0 {
			return s.tell(at, Piece{Damage: "a record is damaged; no other one follows in the segment"})
		}
		err = s.tell(at, Piece{Damage: fmt.Sprintf("a record is damaged; the next one that is whole is at byte %d", next)})
		at = next
	}
	return err
}

func (s *scan) record(at int, rec *record) error {
	var (
		p Piece
		m proto.Message
	)
	switch rec.kind {
	case kindHardState:
		p.HardState = new(pb.HardState)
		m = p.HardState
	case kindEntry:
		p.Entry = new(pb.Entry)
		m = p.Entry
	default:
		p.Mark = &Mark{SnapshotMetadata: new(pb.SnapshotMetadata), Restart: rec.kind == kindRestart}
		m = p.Mark.SnapshotMetadata
	}
	if err := proto.Unmarshal(rec.payload, m); err != nil {
		p = Piece{Damage: fmt.Sprintf("a record of kind %d cannot be decoded: %v", rec.kind, err)}
	}
	return s.tell(at, p)
}

func zeros(b []byte) bool { return len(bytes.TrimRight(b, "\x00")) == 0 }
