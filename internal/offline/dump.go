package offline

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"raftcached/engine"
	"raftcached/replication"
	"raftcached/replication/disk"
	"raftcached/replication/identity"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// Range is which entries are dumped, both ends included. The zero Range is everything; of
// another one, hard states and marks are left out.
type Range struct{ From, To uint64 }

func (r Range) whole() bool { return r == Range{} }

func (r Range) has(index uint64) bool {
	to := r.To
	if to == 0 {
		to = math.MaxUint64
	}
	return index >= r.From && index <= to
}

// The kinds of a Record.
const (
	KindIdentity = "identity"
	KindSnapshot = "snapshot"
	KindSegment  = "segment"
	KindState    = "state" // raft's hard state
	KindMark     = "mark"
	KindEntry    = "entry"
	KindNote     = "note"
	KindDamage   = "damage"
)

// Record is one line of a dump: what stands at one place of a data folder. Kind says which
// of the other fields are set.
type Record struct {
	Kind   string `json:"kind"`
	File   string `json:"file"` // in the data folder
	Offset int64  `json:"offset,omitempty"`

	Identity *IdentityRecord `json:"identity,omitempty"`
	Snapshot *SnapshotRecord `json:"snapshot,omitempty"`
	Segment  *SegmentRecord  `json:"segment,omitempty"`
	State    *StateRecord    `json:"state,omitempty"`
	Mark     *MarkRecord     `json:"mark,omitempty"`
	Entry    *EntryRecord    `json:"entry,omitempty"`
	Text     string          `json:"text,omitempty"` // of a note or damage
}

// IdentityRecord is what the identity file says.
type IdentityRecord struct {
	ServerID    int                  `json:"serverId"`
	DirectoryID identity.DirectoryID `json:"directoryId"`
	Boot        uint64               `json:"boot"`
	Cluster     *identity.Cluster    `json:"cluster"` // nil: none yet
	Floor       identity.Floor       `json:"floor"`
	Recovery    *identity.Recovery   `json:"recovery,omitempty"`
}

// SnapshotRecord is one snapshot that is whole.
type SnapshotRecord struct {
	Index   uint64                  `json:"index"`
	Term    uint64                  `json:"term"`
	Bytes   int64                   `json:"bytes"` // of its contents
	Time    time.Time               `json:"time"`  // by the log's clock
	Rows    int                     `json:"rows"`  // exactly-once rows
	Members *replication.Membership `json:"members,omitempty"`
}

// SegmentRecord is the beginning of a segment.
type SegmentRecord struct {
	Sequence    uint64 `json:"sequence"`
	DirectoryID string `json:"directoryId,omitempty"` // empty: it names none
	Boot        uint64 `json:"boot,omitempty"`
	Bytes       int64  `json:"bytes"`
}

// StateRecord is raft's hard state.
type StateRecord struct {
	Term   uint64 `json:"term"`
	Vote   uint64 `json:"vote"` // raft id
	Commit uint64 `json:"commit"`
}

// MarkRecord says where the log begins.
type MarkRecord struct {
	Index   uint64   `json:"index"`
	Term    uint64   `json:"term"`
	Voters  []uint64 `json:"voters"` // raft ids
	Restart bool     `json:"restart,omitempty"`
}

// EntryRecord is an entry of the log.
type EntryRecord struct {
	Index      uint64                    `json:"index"`
	Term       uint64                    `json:"term"`
	Time       time.Time                 `json:"time,omitzero"` // its stamp
	Hints      int                       `json:"hints,omitempty"`
	SubBatches []SubBatchRecord          `json:"subBatches,omitempty"`
	Change     *replication.MemberChange `json:"change,omitempty"`
	Leaves     bool                      `json:"leavesJoint,omitempty"`
	Damage     string                    `json:"damage,omitempty"` // why not all of it can be decoded
}

// SubBatchRecord is what one event loop of one node sent; origin 0 is the cluster.
type SubBatchRecord struct {
	Origin     uint64     `json:"origin"` // raft id
	Boot       uint64     `json:"boot"`
	Loop       int        `json:"loop"`
	Sequence   uint64     `json:"sequence"`
	Operations []OpRecord `json:"operations"` // empty: it was given up
}

// OpRecord is an operation. Values are not shown, but for their size.
type OpRecord struct {
	Op         string `json:"op"`
	Key        []byte `json:"key,omitempty"` // in JSON, base64: a key may be any bytes
	ValueBytes int    `json:"valueBytes,omitempty"`
	Flags      uint32 `json:"flags,omitempty"`
	Exptime    int64  `json:"exptime,omitempty"`
	CAS        uint64 `json:"cas,omitempty"`
	Delta      uint64 `json:"delta,omitempty"`
	Fields     uint32 `json:"fields,omitempty"` // what the meta commands and the binary protocol add
}

// dump is a Dump that runs.
type dump struct {
	fs    disk.FS
	dir   string
	in    Range
	visit func(*Record) error
}

// Dump locks the data folder, whose server must not run, and calls visit with what is in
// it: identity, snapshots, log. Damage is one of the records. A record is valid during
// the call.
func Dump(fs disk.FS, dir string, in Range, visit func(*Record) error) error {
	lock, err := identity.Lock(fs, dir)
	if err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // nothing was written
	d := &dump{fs: fs, dir: dir, in: in, visit: visit}
	if err := d.identity(); err != nil {
		return err
	}
	for _, sub := range []string{"snap", "diverged"} {
		if err := d.snapshots(sub); err != nil {
			return err
		}
	}
	return wal.Scan(fs, filepath.Join(dir, "wal"), d.piece)
}

// damage tells that a whole file is of no use.
func (d *dump) damage(file, text string) error {
	return d.visit(&Record{Kind: KindDamage, File: file, Text: text})
}

func (d *dump) identity() error {
	const name = "identity"
	id, err := identity.Read(d.fs, d.dir)
	if err != nil {
		return d.damage(name, err.Error())
	}
	return d.visit(&Record{Kind: KindIdentity, File: name, Identity: &IdentityRecord{
		ServerID: id.ServerID(), DirectoryID: id.DirectoryID(), Boot: id.Boot(), Cluster: id.Cluster(), Floor: id.Floor(), Recovery: id.Recovery(),
	}})
}

// snapshots shows the snapshots of a folder, whoever has written them.
func (d *dump) snapshots(sub string) error {
	store, err := snapshot.Open(d.fs, filepath.Join(d.dir, sub), snapshot.Options{ReadOnly: true, AnyOwner: true})
	if err != nil {
		return d.damage(sub, err.Error())
	}
	list, err := store.List()
	if err != nil {
		return d.damage(sub, err.Error())
	}
	for _, meta := range list {
		file := filepath.Join(sub, fmt.Sprintf("%016x-%016x.snap", meta.GetIndex(), meta.GetTerm()))
		s, err := readSnapshot(store, meta)
		if err != nil {
			err = d.damage(file, err.Error())
		} else {
			err = d.visit(&Record{Kind: KindSnapshot, File: file, Snapshot: s})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readSnapshot reads a snapshot to its end, which checks it.
func readSnapshot(store *snapshot.Store, meta *pb.SnapshotMetadata) (*SnapshotRecord, error) {
	r, err := store.Open(meta.GetIndex(), meta.GetTerm())
	if err != nil {
		return nil, err
	}
	defer func() { _ = r.Close() }() // it was only read
	counted := &counter{r: r}
	head, err := replication.ReadSnapshotHead(counted)
	if err == nil {
		_, err = io.Copy(io.Discard, counted)
	}
	if err != nil {
		return nil, err
	}
	return &SnapshotRecord{
		Index: meta.GetIndex(), Term: meta.GetTerm(), Bytes: counted.n,
		Time: time.UnixMilli(head.StampMs).UTC(), Rows: head.Rows, Members: head.Members,
	}, nil
}

// counter counts what is read.
type counter struct {
	r io.Reader
	n int64
}

// Read implements io.Reader.
func (c *counter) Read(b []byte) (int, error) {
	n, err := c.r.Read(b)
	c.n += int64(n)
	return n, err
}

func (d *dump) piece(p *wal.Piece) error {
	r := &Record{File: filepath.Join("wal", filepath.Base(p.File)), Offset: p.Offset}
	switch {
	case p.Damage != "":
		r.Kind, r.Text = KindDamage, p.Damage
	case p.Entry != nil && d.in.has(p.Entry.GetIndex()):
		r.Kind, r.Entry = KindEntry, entryOf(p.Entry)
	case !d.in.whole():
		return nil
	case p.Note != "":
		r.Kind, r.Text = KindNote, p.Note
	case p.HardState != nil:
		r.Kind, r.State = KindState, &StateRecord{Term: p.HardState.GetTerm(), Vote: p.HardState.GetVote(), Commit: p.HardState.GetCommit()}
	case p.Mark != nil:
		r.Kind = KindMark
		r.Mark = &MarkRecord{Index: p.Mark.GetIndex(), Term: p.Mark.GetTerm(), Voters: p.Mark.GetConfState().GetVoters(), Restart: p.Mark.Restart}
	default:
		r.Kind, r.Segment = KindSegment, &SegmentRecord{Sequence: p.Segment, Bytes: p.Begins.Bytes}
		if p.Begins.Owned {
			r.Segment.DirectoryID, r.Segment.Boot = hex.EncodeToString(p.Begins.Owner.Directory[:]), p.Begins.Owner.Boot
		}
	}
	return d.visit(r)
}

func entryOf(e *pb.Entry) *EntryRecord {
	r := &EntryRecord{Index: e.GetIndex(), Term: e.GetTerm()}
	in, err := replication.DecodeEntry(e)
	if in != nil {
		if in.StampMs != 0 {
			r.Time = time.UnixMilli(in.StampMs).UTC()
		}
		r.Hints, r.Change, r.Leaves = in.Hints, in.Change, in.Leaves
		for i := range in.SubBatches {
			s, opErr := subBatchOf(&in.SubBatches[i])
			r.SubBatches = append(r.SubBatches, s)
			err = errors.Join(err, opErr)
		}
	}
	if err != nil {
		r.Damage = err.Error()
	}
	return r
}

func subBatchOf(s *replication.SubBatch) (SubBatchRecord, error) {
	r := SubBatchRecord{Origin: s.Origin, Boot: s.Boot, Loop: s.Loop, Sequence: s.Seq}
	rest := s.Ops
	for range s.Count {
		op, after, err := engine.DecodeOp(rest)
		if err != nil {
			return r, err
		}
		rest = after
		r.Operations = append(r.Operations, OpRecord{
			Op: op.Kind.String(), Key: op.Key, ValueBytes: len(op.Value), Flags: op.Flags,
			Exptime: op.Exptime, CAS: op.CAS, Delta: op.Delta, Fields: uint32(op.Fields),
		})
	}
	return r, nil
}
