package replication

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"raftcached/replication/frame"

	"github.com/cespare/xxhash/v2"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// snapshotFormed is the version of a snapshot whose members are those that
	// formed the cluster, snapshotMembers of one that has them in its head,
	// snapshotSettled of one that also tells whether they are settled, snapshotLeases of
	// one that tells which leases there are too, snapshotRaised of one of a cluster whose
	// version was raised.
	snapshotFormed  = 1
	snapshotMembers = 2
	snapshotSettled = 3
	snapshotLeases  = 4
	snapshotRaised  = 5

	snapshotHeadFields = 4 // of versions 2 to 5, see doc.go

	// snapshotHeadBytesMax bounds the head of a snapshot, see doc.go.
	snapshotHeadBytesMax = 64 << 20
)

// state is what the log makes: the state machine, the exactly-once table, the
// members, and how far they have come. It applies committed entries, exactly once each, and
// gathers the answers for this node's event loops. The applier's goroutine owns
// it, but for Digest.
type state struct {
	id, boot uint64
	loops    int
	behind   *behind

	// replaced is the digest of a state that is being replaced by a snapshot, which
	// takes long; nil at other times.
	replaced atomic.Pointer[StateDigest]

	mu      sync.Mutex // held while an entry applies, so that Digest sees whole ones
	machine StateMachine
	table   *table
	members *Membership
	index   uint64
	term    uint64
	stampMs int64

	formed      *Membership // at index 0
	told        uint64      // changes of members up to this index were reported
	logBytes    int64       // applied since the last snapshot was taken or installed
	digestEvery uint64      // entries between two digests
	known       uint64      // see ReplicaConfig.KnownVersion
	bugs        bugs
}

// Batch is what came of applying a run of entries.
type Batch struct {
	Report  AppliedUpTo
	Answers [][]Answer // by event loop
}

// newState returns the state of a node at index 0.
func newState(cfg *ReplicaConfig) *state {
	formed := formedMembership(cfg.Formed)
	return &state{
		id: cfg.ID, boot: cfg.Boot, loops: cfg.Loops, behind: newBehind(cfg.Loops, cfg.bugs), machine: cfg.Machine, table: newTable(),
		members: formed, formed: formed,
		digestEvery: cmp.Or(cfg.digestEvery, digestEvery), known: cmp.Or(cfg.KnownVersion, ClusterVersionKnown), bugs: cfg.bugs,
	}
}

// apply applies entries, and notes in out what came of them. An error means that the
// cluster has agreed on what only a later program understands: the node must stop.
// What no program can read is refused: it has no effect, on any node.
func (st *state) apply(ents []*pb.Entry, responses []*pb.Message, out *Batch) error {
	if out.Answers == nil {
		out.Answers = make([][]Answer, st.loops)
	}
	for _, e := range ents {
		if err := st.applyEntry(e, out); err != nil {
			return fmt.Errorf("apply entry %d: %w", e.GetIndex(), err)
		}
	}
	st.note(out)
	out.Report.Done = append(out.Report.Done, responses...)
	return nil
}

// note reports how far the state has come.
func (st *state) note(out *Batch) {
	out.Report.Index, out.Report.Term = st.index, st.term
	out.Report.StampMs = max(st.stampMs, st.machine.TimeMs()) // a restored backup may have a later one
}

func (st *state) applyEntry(e *pb.Entry, out *Batch) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if e.GetIndex() != st.index+1 {
		return fmt.Errorf("it does not follow entry %d", st.index)
	}
	before := st.stampMs
	switch data := e.GetData(); {
	case e.GetType() == pb.EntryConfChangeV2:
		if err := st.applyChange(e, out); err != nil {
			return err
		}
	case e.GetType() != pb.EntryNormal: // the border lets none pass
		out.Report.Refused = append(out.Report.Refused, RefusedEntry{e.GetIndex(), fmt.Errorf("type %v: %w", e.GetType(), errMalformed)})
	case len(data) > 0: // a new leader's first entry is empty
		switch err := st.applyData(data, out); {
		case errors.Is(err, ErrLater):
			return err
		case err != nil:
			out.Report.Refused = append(out.Report.Refused, RefusedEntry{e.GetIndex(), err})
		}
		st.logBytes += int64(len(data))
	}
	st.index, st.term = e.GetIndex(), e.GetTerm()
	// Both conditions follow from the log: all nodes compare at the same indexes.
	if st.index%st.digestEvery == 0 || st.stampMs/digestGapMs != before/digestGapMs {
		out.Report.Digests = append(out.Report.Digests, st.stateDigest())
	}
	return nil
}

// applyData applies the sub-batches of an entry, up to one that cannot be read.
func (st *state) applyData(data []byte, out *Batch) error {
	r := frame.NewReader(data)
	h, err := entryHeader(&r)
	if err != nil {
		return err
	}
	st.stampMs = max(st.stampMs, h.stampMs)
	st.machine.Advance(st.stampMs)
	if len(h.hints) > 0 {
		st.machine.Hint(h.hints)
	}
	for range h.subBatches {
		s, err := readSubBatch(&r)
		if err != nil {
			return err
		}
		st.applySubBatch(&s, out)
	}
	return nil
}

func (st *state) applySubBatch(s *SubBatch, out *Batch) {
	if s.Origin == clusterOrigin {
		st.machine.Apply(s.Count, s.Ops, nil, false)
		return
	}
	if st.members.at(s.Origin) < 0 { // its rows are gone: it must not get others
		return
	}
	own := s.Origin == st.id && s.Boot == st.boot && s.Loop < st.loops
	switch st.table.admit(s) {
	case verdictDuplicate:
		return
	case verdictGap:
		out.Report.Gap = out.Report.Gap || own
		return
	}
	var reads any
	if own {
		reads = st.behind.take(s.Loop, s.Tag)
	}
	results := st.machine.Apply(s.Count, s.Ops, reads, own && (s.Count > 0 || reads != nil))
	if own {
		out.Report.own(s.Loop, s.Seq)
		out.Answers[s.Loop] = append(out.Answers[s.Loop], Answer{Tag: s.Tag, Results: results})
	}
}

// noteInstalled reports that the state was replaced by a snapshot.
func (st *state) noteInstalled(out *Batch) {
	st.note(out)
	out.Report.Installed = true
	out.Report.Members = st.members
	st.told = max(st.told, st.index)
	for loop := range st.loops {
		if r := st.table.rows[rowKey{st.id, loop}]; r.boot == st.boot && r.seq > 0 {
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
// of. Any goroutine may call it; it waits for at most one entry. While a snapshot
// replaces the state, that is the state before.
func (st *state) Digest() (index, digest uint64) {
	for !st.mu.TryLock() {
		if s := st.replaced.Load(); s != nil {
			return s.Index, s.sum()
		}
		runtime.Gosched()
	}
	defer st.mu.Unlock()
	s := st.stateDigest()
	return s.Index, s.sum()
}

// sum is the digest in one number.
func (d StateDigest) sum() uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], d.Contents)
	binary.LittleEndian.PutUint64(b[8:], d.Order)
	return xxhash.Sum64(b[:])
}

// State is stateDigest for any goroutine. It waits for nothing, and reports false
// while an entry is applied or the state is replaced.
func (st *state) State() (s StateDigest, ok bool) {
	if !st.mu.TryLock() {
		return StateDigest{}, false
	}
	defer st.mu.Unlock()
	return st.stateDigest(), true
}

// stateDigest returns the digest by its parts; the contents include what
// replication itself replicates.
func (st *state) stateDigest() StateDigest {
	contents, order := st.machine.Digest()
	b := binary.LittleEndian.AppendUint64(make([]byte, 0, 32), contents)
	b = binary.LittleEndian.AppendUint64(b, st.table.digest())
	b = binary.LittleEndian.AppendUint64(b, uint64(st.stampMs))
	if st.members.Version > 0 { // as formed they are the same everywhere
		b = binary.LittleEndian.AppendUint64(b, st.members.digest())
	}
	return StateDigest{Index: st.index, Contents: xxhash.Sum64(b), Order: order}
}

// restore replaces the replicated state by the image that r reads, which was
// taken at index and term. On an error the state is as it was.
func (st *state) restore(index, term uint64, r io.Reader) error {
	stampMs, table, members, err := readSnapshotHead(r)
	if err != nil {
		return err
	}
	if members != nil {
		if err := members.checkKnown(st.known); err != nil {
			return err
		}
	}
	before := st.stateDigest()
	st.replaced.Store(&before)
	defer st.replaced.Store(nil)
	st.mu.Lock()
	defer st.mu.Unlock()
	if err := st.machine.Restore(r); err != nil {
		return fmt.Errorf("restore state: %w", err)
	}
	if members == nil {
		members = st.formed
	}
	st.table, st.members, st.stampMs, st.index, st.term, st.logBytes = table, members, stampMs, index, term, 0
	return nil
}

// readSnapshotHead reads the head of an image, behind which the state machine's follows.
func readSnapshotHead(r io.Reader) (stampMs int64, t *table, members *Membership, err error) {
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return 0, nil, nil, fmt.Errorf("read head of snapshot: %w", err)
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > snapshotHeadBytesMax {
		return 0, nil, nil, fmt.Errorf("read head of snapshot: %d bytes, at most %d expected", n, snapshotHeadBytesMax)
	}
	head := make([]byte, n)
	if _, err := io.ReadFull(r, head); err != nil {
		return 0, nil, nil, fmt.Errorf("read head of snapshot: %w", err)
	}
	return readHead(head)
}

// readHead decodes the head of a snapshot. Without members in it they are nil.
func readHead(head []byte) (stampMs int64, t *table, members *Membership, err error) {
	r := frame.NewReader(head)
	n, err := r.ArrayLen(fieldsMax)
	if err != nil || n < snapshotHeadFields-1 {
		return 0, nil, nil, fmt.Errorf("read head of snapshot: array of %d, want %d: %w", n, snapshotHeadFields, errMalformed)
	}
	version, err := r.Uint64()
	switch {
	case err != nil || version < snapshotFormed:
		return 0, nil, nil, fmt.Errorf("read head of snapshot: version %d: %w", version, errors.Join(err, errMalformed))
	case version > snapshotRaised:
		return 0, nil, nil, fmt.Errorf("snapshot has version %d, this program knows %d: %w", version, snapshotRaised, ErrLater)
	case n > snapshotHeadFields:
		return 0, nil, nil, fmt.Errorf("read head of snapshot: array of %d, want %d: %w", n, snapshotHeadFields, errMalformed)
	}
	if stampMs, err = r.Int64(); err != nil {
		return 0, nil, nil, fmt.Errorf("read stamp of snapshot: %w", err)
	}
	if t, err = readTable(&r); err != nil {
		return 0, nil, nil, err
	}
	if version >= snapshotMembers {
		members, err = readMembership(&r, version)
	}
	return stampMs, t, members, err
}

// appendHead appends the head of a snapshot of the state to dst.
func (st *state) appendHead(dst []byte) []byte {
	changed := st.members.Version > 0 && !st.bugs.has(bugMembersForgotten)
	version, fields := uint64(snapshotFormed), snapshotHeadFields-1
	if changed {
		version, fields = snapshotLeases, snapshotHeadFields
	}
	members := *st.members
	if st.bugs.has(bugVersionForgotten) {
		members.Raised = 0
	}
	if changed && members.Raised > 0 {
		version = snapshotRaised
	}
	dst = frame.AppendUint(frame.AppendArrayLen(dst, fields), version)
	dst = frame.AppendInt(dst, st.stampMs)
	dst = st.table.append(dst)
	if changed {
		dst = members.append(dst)
	}
	return dst
}
