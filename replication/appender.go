package replication

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Appender is the step machine of the append worker. It merges what is queued
// into few writes with at most one sync, and only then lets the responses go, so
// that no vote or acknowledgement leaves before what it promises is durable. It
// does no IO.
//
// Invariant: effects are carried out in order, each when the one before is done.
type Appender struct {
	id    uint64
	saved pb.HardState // term and vote as last saved
	bugs  bugs
}

// saveBytesTarget is about how much is written to the log at a time. The log makes a
// copy of it, and a node that catches up is sent inFlightBytesMax at once.
const saveBytesTarget = 2 << 20

// appendInput is something for the append worker.
type appendInput struct {
	message *pb.Message // MsgStorageAppend
	news    *memberNews // else to be told, once what is queued before is durable
	cut     uint64      // else the log may go, up to this index
}

// appendEffect is something that the append worker is to do.
type appendEffect struct {
	kind    appendEffectKind
	hard    *pb.HardState        // appendSave, appendRestart: nil if unchanged
	entries []*pb.Entry          // appendSave
	sync    bool                 // appendSave, appendRestart
	meta    *pb.SnapshotMetadata // appendInstall, appendRestart
	own     []*pb.Message        // appendRespond: for the core
	news    []*memberNews        // appendTell
	peers   []*pb.Message        // appendRespond
	index   uint64               // appendCut
}

type appendEffectKind uint8

const (
	appendSave    appendEffectKind = iota // write to the log
	appendInstall                         // have the applier continue from a snapshot, and wait for it
	appendRestart                         // let the log begin behind that snapshot
	appendRespond                         // let the responses go
	appendTell                            // make known what became of the members
	appendCut                             // let the log go, up to index
)

// memberNews is what became of the members. It is told only once this node's log says
// durably that the change is committed: a folder that is told of its removal stops
// for good, and without it a log that does not say so may have no majority.
type memberNews struct {
	members  *Membership
	outcomes []Outcome
}

// newAppender returns the appender of a log whose hard state is hs.
func newAppender(cfg *ReplicaConfig, hs *pb.HardState) *Appender {
	a := &Appender{id: cfg.ID, bugs: cfg.bugs}
	a.note(hs)
	return a
}

func (a *Appender) note(hs *pb.HardState) {
	a.saved.Term, a.saved.Vote = new(hs.GetTerm()), new(hs.GetVote())
}

// step appends to effects what is to be done about all that is queued.
//
// A snapshot is installed in this order. What came before it is saved. The state
// machine continues from it, so that the log does not forget entries that
// nothing else covers. The log begins behind it, in one write with the hard state
// that came with it: its commit index is beyond the log until then. Then the
// leader learns of it.
func (a *Appender) step(in []appendInput, effects []appendEffect) []appendEffect {
	var (
		hs      *pb.HardState
		ents    []*pb.Entry
		respond = appendEffect{kind: appendRespond}
		tell    = appendEffect{kind: appendTell}
		cut     uint64
	)
	for i := range in {
		cut = max(cut, in[i].cut)
	}
	if cut > 0 { // first: what follows may wait for the room
		effects = append(effects, appendEffect{kind: appendCut, index: cut})
	}
	for i := range in {
		m := in[i].message
		if news := in[i].news; news != nil {
			tell.news = append(tell.news, news)
			continue
		}
		if m == nil {
			continue
		}
		h := hardStateOf(m)
		if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
			effects = a.save(effects, hs, ents, false)
			effects = append(effects,
				appendEffect{kind: appendInstall, meta: s.GetMetadata()},
				appendEffect{kind: appendRestart, meta: s.GetMetadata(), hard: h, sync: !a.bugs.has(bugAckBeforeSync)})
			if h != nil {
				a.note(h)
			}
			hs, ents, h = nil, nil, nil
		}
		if h != nil {
			hs = h
		}
		ents = joinEntries(ents, m.GetEntries())
		respond.sort(a.id, m.GetResponses())
	}
	effects = a.save(effects, hs, ents, len(tell.news) > 0)
	if len(respond.own) > 0 || len(respond.peers) > 0 {
		effects = append(effects, respond)
	}
	if len(tell.news) > 0 {
		effects = append(effects, tell)
	}
	return effects
}

// sort sorts responses by where they go.
func (e *appendEffect) sort(id uint64, responses []*pb.Message) {
	for _, m := range responses {
		if m.GetTo() == id {
			e.own = append(e.own, m)
		} else {
			e.peers = append(e.peers, m)
		}
	}
}

// hardStateOf returns the hard state that m carries, or nil.
func hardStateOf(m *pb.Message) *pb.HardState {
	hs := &pb.HardState{Term: new(m.GetTerm()), Vote: new(m.GetVote()), Commit: new(m.GetCommit())}
	if raft.IsEmptyHardState(hs) {
		return nil
	}
	return hs
}

// joinEntries appends more to ents, dropping what more replaces.
func joinEntries(ents, more []*pb.Entry) []*pb.Entry {
	if len(ents) == 0 || len(more) == 0 {
		return append(ents, more...)
	}
	first := more[0].GetIndex()
	if first <= ents[0].GetIndex() {
		return more
	}
	// The three-index slice keeps a shared array from being overwritten.
	keep := first - ents[0].GetIndex()
	return append(ents[:keep:keep], more...)
}

// save has a hard state and entries written, in parts of which the last one is synced.
// As within a part, the hard state comes last: it may commit the entries.
func (a *Appender) save(effects []appendEffect, hs *pb.HardState, ents []*pb.Entry, sync bool) []appendEffect {
	if hs == nil && len(ents) == 0 && !sync {
		return effects
	}
	// A commit index that moved needs no sync: it is learned again.
	sync = sync || len(ents) > 0 || hs.GetTerm() != a.saved.GetTerm() || hs.GetVote() != a.saved.GetVote()
	if hs != nil {
		a.note(hs)
	}
	for bytes, n := 0, 0; n < len(ents); n++ {
		if bytes += len(ents[n].GetData()); bytes >= saveBytesTarget && n+1 < len(ents) {
			effects = append(effects, appendEffect{kind: appendSave, entries: ents[:n+1]})
			ents, bytes, n = ents[n+1:], 0, -1
		}
	}
	return append(effects, appendEffect{kind: appendSave, hard: hs, entries: ents, sync: sync})
}

// carryOut does to the log what an effect says. An error is final, except for
// ErrDiskFull, after which it is to be carried out again.
func (e *appendEffect) carryOut(log Log) error {
	switch e.kind {
	case appendSave:
		if err := log.Save(e.hard, e.entries, nil, e.sync); err != nil {
			return fmt.Errorf("save %d entries: %w", len(e.entries), err)
		}
	case appendRestart:
		if err := log.Save(e.hard, nil, e.meta, e.sync); err != nil {
			return fmt.Errorf("restart log behind snapshot %d: %w", e.meta.GetIndex(), err)
		}
	case appendCut:
		return cutLog(log, e.index)
	}
	return nil
}

// cutLog lets the log go up to index, if it reaches so far back.
func cutLog(log Log, index uint64) error {
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read first index: %w", err)
	}
	if index < first {
		return nil
	}
	if err := log.Compact(index); err != nil {
		return fmt.Errorf("compact log to %d: %w", index, err)
	}
	return nil
}
