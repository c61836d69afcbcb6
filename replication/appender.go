package replication

import (
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Appender carries out MsgStorageAppend messages: it merges what is queued,
// saves it with at most one sync, and only then gives back the responses, so
// that no vote or acknowledgement leaves before what it promises is durable.
// One goroutine owns it.
type Appender struct {
	log   Log
	saved pb.HardState // term and vote as last saved

	// install makes the state machine continue from a snapshot that was
	// received; it returns when entries up to it need not be applied any more.
	install func(*pb.SnapshotMetadata) error
}

// NewAppender returns the appender of log. install is called on the goroutine
// that calls Append, before the log is restarted behind the snapshot.
func NewAppender(log Log, install func(*pb.SnapshotMetadata) error) (*Appender, error) {
	hs, _, err := log.InitialState()
	if err != nil {
		return nil, fmt.Errorf("read hard state: %w", err)
	}
	a := &Appender{log: log, install: install}
	a.note(hs)
	return a, nil
}

func (a *Appender) note(hs *pb.HardState) {
	a.saved.Term, a.saved.Vote = new(hs.GetTerm()), new(hs.GetVote())
}

// Append saves what the messages carry and returns their responses, in order,
// some for this node and some for peers. An error is final.
func (a *Appender) Append(ms []*pb.Message) ([]*pb.Message, error) {
	var (
		hs        *pb.HardState
		ents      []*pb.Entry
		responses []*pb.Message
	)
	for _, m := range ms {
		if h := hardStateOf(m); h != nil {
			hs = h
		}
		if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
			if err := a.save(hs, ents); err != nil {
				return nil, err
			}
			if err := a.restart(hs, s.GetMetadata()); err != nil {
				return nil, err
			}
			hs, ents = nil, nil
		}
		ents = joinEntries(ents, m.GetEntries())
		responses = append(responses, m.GetResponses()...)
	}
	if err := a.save(hs, ents); err != nil {
		return nil, err
	}
	return responses, nil
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

func (a *Appender) save(hs *pb.HardState, ents []*pb.Entry) error {
	if hs == nil && len(ents) == 0 {
		return nil
	}
	// A commit index that moved needs no sync: it is learned again.
	sync := len(ents) > 0 || hs.GetTerm() != a.saved.GetTerm() || hs.GetVote() != a.saved.GetVote()
	if err := a.log.Save(hs, ents, nil, sync); err != nil {
		return fmt.Errorf("save %d entries: %w", len(ents), err)
	}
	if hs != nil {
		a.note(hs)
	}
	return nil
}

// restart lets the log begin behind a snapshot. The state machine has it first:
// the log must not forget entries that nothing else covers.
func (a *Appender) restart(hs *pb.HardState, meta *pb.SnapshotMetadata) error {
	if err := a.install(meta); err != nil {
		return fmt.Errorf("install snapshot %d: %w", meta.GetIndex(), err)
	}
	if err := a.log.Save(hs, nil, meta, true); err != nil {
		return fmt.Errorf("restart log behind snapshot %d: %w", meta.GetIndex(), err)
	}
	if hs != nil {
		a.note(hs)
	}
	return nil
}
