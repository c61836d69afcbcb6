package replication

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"

	"raftcached/replication/frame"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	snapshotVersion = 1

	// snapshotHeadBytesMax bounds the head of a snapshot, see doc.go.
	snapshotHeadBytesMax = 64 << 20
)

// Applier applies committed entries to the state machine, exactly once each,
// and gathers the answers for this node's event loops. One goroutine owns it,
// but for Digest.
type Applier struct {
	id, boot uint64
	loops    int

	mu      sync.Mutex // held while an entry applies, so that Digest sees whole ones
	machine StateMachine
	table   *table
	index   uint64
	term    uint64
	stampMs int64

	logBytes int64 // applied since the last snapshot was taken or installed

	digestEvery uint64  // how many entries lie between two digests
	frozen      *frozen // set while the state must not change
}

// Batch is what came of applying a run of entries.
type Batch struct {
	Report  AppliedUpTo
	Answers [][]Answer // by event loop
}

// NewApplier returns the applier of the node with the given raft id and boot
// number, over a state machine at index 0.
func NewApplier(id, boot uint64, loops int, machine StateMachine) *Applier {
	return &Applier{id: id, boot: boot, loops: loops, machine: machine, table: newTable(), digestEvery: digestEvery}
}

// Apply applies the entries of a MsgStorageApply. An error means that this
// program cannot apply what the cluster has agreed on: the node must stop.
func (a *Applier) Apply(m *pb.Message, out *Batch) error {
	if a.frozen != nil {
		a.hold(m, out)
		return nil
	}
	return a.applyAll(m.GetEntries(), m.GetResponses(), out)
}

func (a *Applier) applyAll(ents []*pb.Entry, responses []*pb.Message, out *Batch) error {
	if out.Answers == nil {
		out.Answers = make([][]Answer, a.loops)
	}
	for _, e := range ents {
		if err := a.applyEntry(e, out); err != nil {
			return fmt.Errorf("apply entry %d: %w", e.GetIndex(), err)
		}
	}
	a.note(out)
	out.Report.Done = append(out.Report.Done, responses...)
	return nil
}

// note reports how far the state has come.
func (a *Applier) note(out *Batch) {
	out.Report.Index, out.Report.Term, out.Report.StampMs = a.index, a.term, a.stampMs
}

func (a *Applier) applyEntry(e *pb.Entry, out *Batch) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e.GetIndex() <= a.index {
		return fmt.Errorf("index %d is applied already", a.index)
	}
	if e.GetType() != pb.EntryNormal {
		return fmt.Errorf("entry has type %v, which this program does not know: run a newer raftcached", e.GetType())
	}
	before := a.stampMs
	if data := e.GetData(); len(data) > 0 { // a new leader's first entry is empty
		if err := a.applyData(data, out); err != nil {
			return err
		}
		a.logBytes += int64(len(data))
	}
	a.index, a.term = e.GetIndex(), e.GetTerm()
	// Both conditions follow from the log: all nodes compare at the same indexes.
	if a.index%a.digestEvery == 0 || a.stampMs/digestGapMs != before/digestGapMs {
		out.Report.Digests = append(out.Report.Digests, a.stateDigest())
	}
	return nil
}

func (a *Applier) applyData(data []byte, out *Batch) error {
	r := frame.NewReader(data)
	h, err := entryHeader(&r)
	if err != nil {
		return err
	}
	a.stampMs = max(a.stampMs, h.stampMs)
	a.machine.Advance(a.stampMs)
	if len(h.hints) > 0 {
		a.machine.Hint(h.hints)
	}
	for range h.subBatches {
		s, err := readSubBatch(&r)
		if err != nil {
			return err
		}
		if err := a.applySubBatch(&s, out); err != nil {
			return err
		}
	}
	return nil
}

func (a *Applier) applySubBatch(s *SubBatch, out *Batch) error {
	if s.Origin == clusterOrigin {
		if _, err := a.machine.Apply(s.Count, s.Ops, false); err != nil {
			return fmt.Errorf("apply the cluster's own sub-batch: %w", err)
		}
		return nil
	}
	own := s.Origin == a.id && s.Boot == a.boot && s.Loop < a.loops
	switch a.table.admit(s) {
	case verdictDuplicate:
		return nil
	case verdictGap:
		out.Report.Gap = out.Report.Gap || own
		return nil
	}
	results, err := a.machine.Apply(s.Count, s.Ops, own && s.Count > 0)
	if err != nil {
		return fmt.Errorf("apply sub-batch %d of (%d, %d): %w", s.Seq, s.Origin, s.Loop, err)
	}
	if own {
		out.Report.own(s.Loop, s.Seq)
		out.Answers[s.Loop] = append(out.Answers[s.Loop], Answer{Tag: s.Tag, Results: results})
	}
	return nil
}

// NoteInstalled reports that the state was replaced by a snapshot.
func (a *Applier) NoteInstalled(out *Batch) {
	a.note(out)
	out.Report.Installed = true
	for loop := range a.loops {
		if r := a.table.rows[rowKey{a.id, loop}]; r.boot == a.boot && r.seq > 0 {
			out.Report.own(loop, r.seq)
		}
	}
}

// own notes the newest sequence number of a loop.
func (r *AppliedUpTo) own(loop int, seq uint64) {
	i := slices.IndexFunc(r.Own, func(o OwnSeq) bool { return o.Loop == loop })
	if i < 0 {
		r.Own = append(r.Own, OwnSeq{loop, seq})
		return
	}
	r.Own[i].Seq = seq
}

// Digest returns the digest of the whole replicated state and the index it is
// of. Any goroutine may call it; it waits for at most one entry.
func (a *Applier) Digest() (index, digest uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.stateDigest()
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], s.Contents)
	binary.LittleEndian.PutUint64(b[8:], s.Order)
	return s.Index, xxhash.Sum64(b[:])
}

// stateDigest returns the digest by its parts; the contents include what
// replication itself replicates.
func (a *Applier) stateDigest() StateDigest {
	contents, order := a.machine.Digest()
	var b [24]byte
	binary.LittleEndian.PutUint64(b[:], contents)
	binary.LittleEndian.PutUint64(b[8:], a.table.digest())
	binary.LittleEndian.PutUint64(b[16:], uint64(a.stampMs))
	return StateDigest{Index: a.index, Contents: xxhash.Sum64(b[:]), Order: order}
}

// Image is the replicated state at one index, written bit by bit. The applier's
// goroutine owns it.
type Image struct {
	Index, Term uint64
	head        []byte // nil once written
	view        View
}

// Image captures the state as of the last applied entry.
func (a *Applier) Image() *Image {
	head := frame.AppendArrayLen(nil, 3)
	head = frame.AppendUint(head, snapshotVersion)
	head = frame.AppendInt(head, a.stampMs)
	head = a.table.append(head)
	a.logBytes = 0
	head = append(binary.LittleEndian.AppendUint32(nil, uint32(len(head))), head...)
	return &Image{Index: a.index, Term: a.term, head: head, view: a.machine.View()}
}

// LogBytes is the size of the entries applied since the last image.
func (a *Applier) LogBytes() int64 { return a.logBytes }

// Next appends the next part of the image to dst, see View.
func (i *Image) Next(dst []byte) (out []byte, more bool, err error) {
	if i.head != nil {
		dst = append(dst, i.head...)
		i.head = nil
		return dst, true, nil
	}
	return i.view.Next(dst)
}

// write writes all of the image.
func (i *Image) write(w io.Writer) error {
	var buf []byte
	for more := true; more; {
		var err error
		if buf, more, err = i.Next(buf[:0]); err != nil {
			return fmt.Errorf("%w: %w", errViewLost, err)
		}
		if _, err := w.Write(buf); err != nil {
			return err
		}
	}
	return nil
}

// drain ends the image without a use for it.
func (i *Image) drain() {
	_ = i.write(io.Discard) // it fails if the image is lost already
}

// Restore replaces the replicated state by the image that r reads, which was
// taken at index and term. On an error the state is as it was.
func (a *Applier) Restore(index, term uint64, r io.Reader) error {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return fmt.Errorf("read head of snapshot: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > snapshotHeadBytesMax {
		return fmt.Errorf("read head of snapshot: %d bytes, at most %d expected", n, snapshotHeadBytesMax)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(r, head); err != nil {
		return fmt.Errorf("read head of snapshot: %w", err)
	}
	stampMs, table, err := readHead(head)
	if err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.machine.Restore(r); err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	a.table, a.stampMs, a.index, a.term, a.logBytes = table, stampMs, index, term, 0
	return nil
}

func readHead(head []byte) (stampMs int64, t *table, err error) {
	r := frame.NewReader(head)
	if n, err := r.ArrayLen(3); err != nil || n != 3 {
		return 0, nil, fmt.Errorf("read head of snapshot: array of %d, want 3: %w", n, errMalformed)
	}
	version, err := r.Uint64()
	if err != nil || version != snapshotVersion {
		return 0, nil, fmt.Errorf("snapshot has version %d, this program knows %d: run a newer raftcached", version, snapshotVersion)
	}
	if stampMs, err = r.Int64(); err != nil {
		return 0, nil, fmt.Errorf("read stamp of snapshot: %w", err)
	}
	t, err = readTable(&r)
	return stampMs, t, err
}
