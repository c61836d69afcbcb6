package replication

import (
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// snapshotBuffers parts of an image may wait for the disk.
	snapshotBuffers = 4

	// snapshotPartBytes is the size at which a part is handed on. One step of
	// the image more may make it longer.
	snapshotPartBytes = 96 << 10

	// tightRetainBytes is how much log is retained at most while the disk has little
	// room, unless the state is larger.
	tightRetainBytes = 16 << 20

	// tightGainBytes is what a new snapshot must be smaller by, besides half, to be
	// taken for that alone while the disk has little room.
	tightGainBytes = 1 << 20
)

// position is a place in the log.
type position struct{ index, term uint64 }

func (p position) meta(conf *pb.ConfState) *pb.SnapshotMetadata {
	return &pb.SnapshotMetadata{ConfState: conf, Index: new(p.index), Term: new(p.term)}
}

// schedule is when this node takes snapshots. One is written at a time. When it
// is durable, the log is cut at the snapshot before, and older snapshots are
// removed: a peer that receives the newest one still finds the entries that
// follow it, and a node whose newest file is damaged starts from the one before.
// While the disk has little room that is given up for more of it: see setSpace.
//
// An image is produced part by part, between entries, into a few buffers, which
// come back when the snapshot writer has written them. While all are out the
// applier goes on applying, unless the image is behind: then it waits.
type schedule struct {
	retainBytes int64
	partBytes   int   // see snapshotPartBytes
	tight       bool  // the disk has little room
	freeBytes   int64 // on the disk, while it is tight

	// How large the state was when the newest snapshot was begun, and the one that is
	// being written; 0 if that is not known.
	newestBytes, writingBytes int64

	image   *Image   // being produced, or nil
	free    [][]byte // buffers
	behind  bool     // the image must go on before anything else is applied
	late    []byte   // see bugPartOrder
	writing position // until the writer has ended it; zero if none is written
	newest  position // durable
	serving []uint64 // peers that are sent the snapshot being written

	waiters []snapshotWaiter
}

// snapshotWaiter waits until a snapshot of an index or later is durable.
type snapshotWaiter struct {
	index uint64
	reply func(error)
}

// wanted reports whether somebody waits for a snapshot that can be begun at an index.
func (s *schedule) wanted(index uint64) bool {
	return s.writing == position{} && slices.ContainsFunc(s.waiters, func(w snapshotWaiter) bool { return w.index <= index })
}

// snapshotWrite is what the snapshot writer is to do, in order: begin, parts,
// and then commit or abort. applyWritten follows each part, applyEnded the end.
type snapshotWrite struct {
	kind  snapshotWriteKind
	at    position      // snapshotBegin
	conf  *pb.ConfState // snapshotBegin: raft's configuration there
	part  []byte        // snapshotPart
	hurry bool          // snapshotPart: the next snapshot is due already
	below uint64        // snapshotCommit, snapshotPrune: remove older snapshots then
}

type snapshotWriteKind uint8

const (
	snapshotBegin snapshotWriteKind = iota
	snapshotPart
	snapshotCommit
	snapshotAbort
	snapshotPrune // remove snapshots older than below
)

// due reports whether enough was applied for another snapshot of a state of the
// given size: half of what the log retains. With little room on the disk one is also
// due that would be much smaller than the newest.
func (s *schedule) due(logBytes, sizeBytes int64) bool {
	switch {
	case s.writing != position{}:
		return false
	case !s.tight:
		return logBytes > max(s.retainBytes, sizeBytes)/2
	case s.freeBytes < sizeBytes:
		return false // it would only take from the log what is left
	}
	smaller := s.newestBytes > 2*sizeBytes+tightGainBytes
	return smaller || logBytes > max(min(s.retainBytes, tightRetainBytes), sizeBytes)/2
}

// setSpace takes how much room the disk has. On one with little room only the newest
// snapshot is kept, and no log before it: who lacks entries gets the snapshot.
func (s *schedule) setSpace(a *Applier, space Space, freeBytes int64) {
	tight := space != SpaceAmple
	if tight && !s.tight && s.newest.index > 0 && a.frozen == nil {
		a.emit(applyEffect{kind: effectCut, index: s.newest.index})
		a.write(snapshotWrite{kind: snapshotPrune, below: s.newest.index})
	}
	s.tight, s.freeBytes = tight, freeBytes
}

// producible reports whether a part can be produced at once.
func (s *schedule) producible() bool { return s.image != nil && len(s.free) > 0 }

// advanceSnapshot begins a snapshot that is due, or produces a part of the one
// that is being written, and as many as it takes not to be behind.
func (a *Applier) advanceSnapshot() {
	s := &a.snapshots
	a.answerWaiters()
	if a.frozen == nil && (s.due(a.st.logBytes, a.st.machine.SizeBytes()) || s.wanted(a.st.index)) {
		a.begin()
	}
	s.behind = false
	for s.image != nil {
		behind := s.image.view.Behind()
		if len(s.free) == 0 {
			s.behind = behind
			return
		}
		a.producePart()
		if !behind {
			return
		}
	}
}

// begin begins a snapshot of the state as it is.
func (a *Applier) begin() {
	s := &a.snapshots
	s.image = a.st.image()
	s.writing, s.writingBytes = position{s.image.Index, s.image.Term}, a.st.machine.SizeBytes()
	s.free = make([][]byte, snapshotBuffers)
	a.write(snapshotWrite{kind: snapshotBegin, at: s.writing, conf: s.image.Conf})
	if a.bugs.has(bugEarlyCut) {
		a.emit(applyEffect{kind: effectCut, index: s.writing.index})
	}
}

func (a *Applier) write(w snapshotWrite) { a.emit(applyEffect{kind: effectWrite, write: w}) }

// producePart fills a buffer, or begins to if the rest takes long to find, and
// hands it on.
func (a *Applier) producePart() {
	s := &a.snapshots
	buf, more, err := s.free[len(s.free)-1][:0], true, error(nil)
	s.free = s.free[:len(s.free)-1]
	for before := -1; more && err == nil && len(buf) > before && len(buf) < s.partBytes; {
		before = len(buf)
		buf, more, err = s.image.Next(buf)
	}
	if err != nil { // the state was replaced
		a.endImage(snapshotWrite{kind: snapshotAbort})
		return
	}
	if a.bugs.has(bugPartOrder) && s.late == nil && more {
		s.late = buf
		return
	}
	hurry := a.st.logBytes > max(s.retainBytes, a.st.machine.SizeBytes())/2
	a.write(snapshotWrite{kind: snapshotPart, part: buf, hurry: hurry})
	if s.late != nil {
		a.write(snapshotWrite{kind: snapshotPart, part: s.late})
		s.late = nil
	}
	if !more {
		below := s.newest.index
		if s.tight {
			below = s.writing.index
		}
		a.endImage(snapshotWrite{kind: snapshotCommit, below: below})
	}
}

// endImage ends the production of an image.
func (a *Applier) endImage(how snapshotWrite) {
	a.snapshots.image, a.snapshots.late, a.snapshots.behind = nil, nil, false
	a.write(how)
}

// abandon gives up the image that is being produced, if any, so that another one
// can be taken.
func (a *Applier) abandon() {
	if a.snapshots.image != nil {
		a.snapshots.image.drain()
		a.endImage(snapshotWrite{kind: snapshotAbort})
	}
}

// ended takes the end of a snapshot: whether it is durable. A received one that
// was installed meanwhile may be newer.
func (a *Applier) ended(durable bool, full error) {
	s := &a.snapshots
	written := s.writing
	s.writing = position{}
	if full != nil { // the next one would be given up as well
		for _, w := range s.waiters {
			a.emit(applyEffect{kind: effectReply, reply: w.reply, err: full})
		}
		s.waiters = nil
	}
	if durable && written.index > s.newest.index {
		cut := s.newest.index
		if s.tight {
			cut = written.index
		}
		if cut > 0 {
			a.emit(applyEffect{kind: effectCut, index: cut})
		}
		s.newest, s.newestBytes = written, s.writingBytes
	}
	for _, to := range s.serving {
		if durable {
			a.ship(to, written)
		} else {
			a.emit(applyEffect{kind: effectNoShip, ship: Ship{To: to}})
		}
	}
	s.serving = nil
}

// serveNobody lets the peers ask again that wait for the snapshot being written.
func (a *Applier) serveNobody() {
	for _, to := range a.snapshots.serving {
		a.emit(applyEffect{kind: effectNoShip, ship: Ship{To: to}})
	}
	a.snapshots.serving = nil
}

// serve sends this node's state, as of the asked index or later, to a peer. The
// newest snapshot is sent if it is recent enough. A frozen state is sent to
// nobody, nor one that nothing was applied to: it has no position in the log. A
// peer that is sent nothing asks again.
func (a *Applier) serve(r Repair) {
	s := &a.snapshots
	switch {
	case a.frozen != nil && !a.bugs.has(bugServeInQuarantine), a.st.index == 0:
		a.emit(applyEffect{kind: effectNoShip, ship: Ship{To: r.To}})
	case s.newest.index > 0 && s.newest.index >= r.Index:
		a.ship(r.To, s.newest)
	case s.writing != position{}:
		a.emit(applyEffect{kind: effectNoShip, ship: Ship{To: r.To}})
	default:
		a.begin()
		s.serving = append(s.serving, r.To)
	}
}

// answerWaiters answers those whose snapshot is durable, and all of them while the
// state is frozen: there will be none.
func (a *Applier) answerWaiters() {
	s := &a.snapshots
	s.waiters = slices.DeleteFunc(s.waiters, func(w snapshotWaiter) bool {
		switch {
		case a.frozen != nil:
			a.emit(applyEffect{kind: effectReply, reply: w.reply, err: errFrozen})
		case s.newest.index >= w.index:
			a.emit(applyEffect{kind: effectReply, reply: w.reply})
		default:
			return false
		}
		return true
	})
}

// take begins a snapshot of the state, unless there is one of that index or later,
// or one is being written: raft asks again, and who has given a reply waits for one of
// all that is applied by now.
func (a *Applier) take(index uint64, reply func(error)) {
	s := &a.snapshots
	if reply != nil {
		s.waiters = append(s.waiters, snapshotWaiter{max(index, a.st.index), reply})
		return
	}
	if a.frozen == nil && s.newest.index < index && s.writing == (position{}) {
		a.begin()
	}
}

// damaged takes that the snapshot of an index was set aside: another is needed. While
// one is written, or none may be, that will do.
func (a *Applier) damaged(index uint64) {
	s := &a.snapshots
	if s.newest.index != index {
		return
	}
	s.newest = position{}
	if a.frozen == nil && s.writing == (position{}) {
		a.begin()
	}
}

// ship sends a snapshot to a peer as a repair.
func (a *Applier) ship(to uint64, at position) {
	meta := at.meta(nil)
	a.emit(applyEffect{kind: effectShip, ship: Ship{To: to, Meta: meta, Header: appendRepairHeader(nil, meta)}})
}

// offered decides whether a peer's repair is received.
func (a *Applier) offered() error {
	switch {
	case a.frozen == nil:
		return errNoRepairWanted
	case a.snapshots.writing != position{}:
		return errSnapshotBusy
	}
	return nil
}
