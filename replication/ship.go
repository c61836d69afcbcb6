package replication

import (
	"errors"
	"fmt"
	"io"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// repairHeaderFields and repairVersion begin the header of a repair, see
	// doc.go. No MsgSnap begins so: its fields have numbers below 16, and so the
	// first byte of their tags is below 0x80.
	repairHeaderFields = 3
	repairVersion      = 1
)

// appendRepairHeader appends the header of the snapshot meta, sent as a repair.
func appendRepairHeader(dst []byte, meta *pb.SnapshotMetadata) []byte {
	dst = frame.AppendUint(frame.AppendArrayLen(dst, repairHeaderFields), repairVersion)
	return frame.AppendUint(frame.AppendUint(dst, meta.GetIndex()), meta.GetTerm())
}

func isRepair(header []byte) bool {
	return len(header) > 0 && header[0] == frame.AppendArrayLen(nil, repairHeaderFields)[0]
}

func readRepairHeader(header []byte) (at position, err error) {
	r := frame.NewReader(header)
	if _, err := r.ArrayLen(repairHeaderFields); err != nil {
		return at, fmt.Errorf("read header of repair: %w", err)
	}
	version, err := r.Uint64()
	if err != nil || version != repairVersion {
		return at, fmt.Errorf("repair has version %d, this program knows %d: run a newer raftcached", version, repairVersion)
	}
	if at.index, err = r.Uint64(); err == nil {
		at.term, err = r.Uint64()
	}
	return at, err
}

// Ship is a snapshot that a peer is to be sent. At most one is on its way to a
// peer at a time, or being made for it.
type Ship struct {
	To     uint64
	Meta   *pb.SnapshotMetadata
	Header []byte

	// Raft tells that raft waits for the outcome: the snapshot goes with a
	// MsgSnap, and is no repair.
	Raft bool
}

// ships is the core's record of what is on its way to peers.
type ships struct {
	to      map[uint64]bool
	rests   map[uint64]rest // peers that raft waits for again, after a failure
	ticks   int
	refused []uint64 // peers whose MsgSnap is not sent, which raft has to be told
	bugs    bugs
}

// begin reports whether a peer may be sent a snapshot now.
func (s *ships) begin(to uint64) bool {
	if s.to[to] && !s.bugs.has(bugDoubleShip) {
		return false
	}
	s.to[to] = true
	return true
}

// rest is how long a peer is sent no snapshot, because the last one has failed: its
// file may be damaged, or the peer may refuse it.
type rest struct {
	until int // of ships.ticks
	ticks int
}

// restRatio is the longest rest, as a multiple of the first one.
const restRatio = 16

// failed begins a rest that is twice as long as the one before. The first one is first
// ticks long.
func (s *ships) failed(to uint64, first int) {
	ticks := max(first, min(2*s.rests[to].ticks, restRatio*first))
	s.rests[to] = rest{until: s.ticks + ticks, ticks: ticks}
}

// ship sends the snapshot of a MsgSnap, or refuses to: raft tries again later. A
// state in quarantine is sent to nobody. One in which the peer is no member would
// be of no use to it: another is taken. One without a configuration is damaged, which
// will be found when it is read.
func (c *Core) ship(m *pb.Message) {
	if conf := m.GetSnapshot().GetMetadata().GetConfState(); conf != nil && !inConf(conf, m.GetTo()) {
		c.ships.refused = append(c.ships.refused, m.GetTo())
		c.eff.Snapshot = c.applied
		return
	}
	shut := c.guard.verdict == VerdictRepairing && !c.cfg.bugs.has(bugServeInQuarantine)
	header, err := proto.Marshal(m)
	resting := c.ships.ticks < c.ships.rests[m.GetTo()].until
	if err != nil || shut || resting || !c.ships.begin(m.GetTo()) {
		c.ships.refused = append(c.ships.refused, m.GetTo())
		return
	}
	c.eff.Ships = append(c.eff.Ships, Ship{To: m.GetTo(), Meta: m.GetSnapshot().GetMetadata(), Header: header, Raft: true})
}

// serve has the applier send a peer this node's state, if nothing speaks against
// it. A peer that gets nothing asks again, or asks another node.
func (c *Core) serve(r Repair) {
	sound := c.guard.verdict == VerdictOK || c.cfg.bugs.has(bugServeInQuarantine)
	if sound && c.applied >= r.Index && c.ships.begin(r.To) {
		c.eff.Repairs = append(c.eff.Repairs, r)
	}
}

// Shipped tells how Effects.Ships or Effects.Repairs ended for a peer.
func (c *Core) Shipped(to uint64, forRaft, ok bool) {
	delete(c.ships.to, to)
	if !forRaft {
		return
	}
	status := raft.SnapshotFinish
	if ok {
		delete(c.ships.rests, to)
	} else {
		status = raft.SnapshotFailure
		c.ships.failed(to, c.cfg.ElectionTicks)
	}
	c.raw.ReportSnapshot(to, status)
}

// reportRefused tells raft which snapshots were not sent.
func (c *Core) reportRefused() {
	for _, to := range c.ships.refused {
		c.raw.ReportSnapshot(to, raft.SnapshotFailure)
	}
	c.ships.refused = c.ships.refused[:0]
}

// shipFile is the file that a ship is of.
type shipFile struct {
	io.ReadCloser
	store Snapshots
	at    position
	err   error // of reading it
}

// open opens the file that a ship is of.
func (s *Ship) open(store Snapshots) (f *shipFile, sizeBytes int64, err error) {
	f = &shipFile{store: store, at: position{s.Meta.GetIndex(), s.Meta.GetTerm()}}
	f.ReadCloser, sizeBytes, err = store.Raw(f.at.index, f.at.term)
	if err != nil {
		return nil, 0, fmt.Errorf("open snapshot %d: %w", f.at.index, err)
	}
	return f, sizeBytes, nil
}

// Read implements io.Reader.
func (f *shipFile) Read(b []byte) (int, error) {
	n, err := f.ReadCloser.Read(b)
	if err != nil && !errors.Is(err, io.EOF) {
		f.err = err
	}
	return n, err
}

// setAside reports whether the file is damaged. Then it is sent no more, and the applier
// is to be told. It reads the file once more if that has failed.
func (f *shipFile) setAside() (damaged bool, err error) {
	if f.err == nil {
		return false, nil
	}
	return f.store.SetAside(f.at.index, f.at.term)
}

// arrival is the step machine by which a peer's snapshot is received. Next tells
// what is to be done, one step after the other: a repair has to be wanted before
// it is received, and only what is durable is made known.
type arrival struct {
	message *pb.Message // MsgSnap; nil for a repair
	at      position    // as the header has it
	meta    *pb.SnapshotMetadata
	steps   []arrivalStep // to be done
}

type arrivalStep uint8

const (
	arrivalEnd   arrivalStep = iota
	arrivalOffer             // ask the applier whether it is wanted
	arrivalStore             // receive the file, and make it durable; then call stored
	arrivalPass              // give message to the core
	arrivalAim               // give meta to the applier
)

// newArrival begins with the header of what a peer sends.
func newArrival(header []byte, bugs bugs) (*arrival, error) {
	if isRepair(header) {
		at, err := readRepairHeader(header)
		return &arrival{at: at, steps: []arrivalStep{arrivalOffer, arrivalStore, arrivalAim}}, err
	}
	m := new(pb.Message)
	if err := proto.Unmarshal(header, m); err != nil {
		return nil, fmt.Errorf("decode MsgSnap: %w", err)
	}
	if m.GetType() != pb.MsgSnap {
		return nil, fmt.Errorf("decode MsgSnap: it is a %v", m.GetType())
	}
	meta := m.GetSnapshot().GetMetadata()
	a := &arrival{message: m, at: position{meta.GetIndex(), meta.GetTerm()}, steps: []arrivalStep{arrivalStore, arrivalPass}}
	if bugs.has(bugInstallBeforeSync) {
		a.steps = []arrivalStep{arrivalPass, arrivalStore}
	}
	return a, nil
}

// next returns what is to be done now.
func (a *arrival) next() arrivalStep {
	if len(a.steps) == 0 {
		return arrivalEnd
	}
	step := a.steps[0]
	a.steps = a.steps[1:]
	return step
}

// stored takes the metadata of the file that has arrived, which must be the one
// that the header announced.
func (a *arrival) stored(meta *pb.SnapshotMetadata) error {
	if got := (position{meta.GetIndex(), meta.GetTerm()}); got != a.at {
		return fmt.Errorf("receive snapshot: file is of index %d, header of %d", got.index, a.at.index)
	}
	a.meta = meta
	return nil
}
