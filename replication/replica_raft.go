package replication

import (
	"fmt"
	"log/slog"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// raftLoop owns the core: it feeds it what has come in and carries out what it
// wants done. It never waits for a disk, a peer or the applier.
func (r *Replica) raftLoop() {
	var (
		core  = r.machine.core
		pulse = newPulse(r.cfg.Tick, time.Since(r.start))
		taken []input
		eff   Effects
	)
	defer pulse.ticker.Stop()
	for {
		called := false
		select {
		case <-r.ctx.Done():
			return
		case <-pulse.ticker.C:
			called = true
		case <-r.in.wake:
		}
		r.turns.Add(1)
		taken = r.in.take(taken)
		at := time.Now() // no earlier: what is promised from an input's time on must not end too early
		now := at.Sub(r.start)
		core.Observe(now, r.wall(at))
		before, after := pulse.due(now)
		r.tick(before)
		for i := range taken {
			if err := taken[i].feed(core); err != nil {
				r.dropped(taken[i].peer, err)
			}
		}
		r.tick(after)
		core.Ready(&eff)
		r.machine.gate.publish(&eff)
		r.publishMembers(&eff)
		r.publish(now) // first: a client that is told of an effect may ask for the reason
		r.carryOut(&eff)
		pulse.set(core.Rest(), called)
	}
}

func (r *Replica) tick(n int) {
	core := r.machine.core
	for range n {
		core.Reading(r.machine.gate.LastRead())
		core.Tick()
	}
}

// wall is what the wall clock shows.
func (r *Replica) wall(now time.Time) time.Time {
	if r.cfg.Wall == nil {
		return now
	}
	return r.cfg.Wall()
}

// carryOut hands the effects on. Messages leave first: followers write to their
// disks while this node writes to its own.
func (r *Replica) carryOut(eff *Effects) {
	r.fail(eff.Failed)
	r.oneByOne.Store(eff.OneByOne)
	if r.cfg.Transport != nil { // else it is alone
		r.cfg.Transport.Direct(eff.OneByOne)
	}
	for _, m := range eff.Messages {
		r.send(m, eff.Round.of(m))
	}
	for i := range eff.Ships {
		r.ship(&eff.Ships[i])
	}
	if eff.Fetch.First != 0 {
		r.toFetch <- eff.Fetch // there is room: it is the only one
	}
	if len(eff.Append) > 0 { // all at once, so that one sync is for all
		var few [4]appendInput
		in := few[:0]
		for _, m := range eff.Append {
			in = append(in, appendInput{message: m})
		}
		r.toLog.put(in...)
	}
	for i := range eff.Judged {
		r.logJudgement(&eff.Judged[i])
	}
	for i := range eff.Transfers {
		r.logTransfer(&eff.Transfers[i])
	}
	for i := range eff.Clocks {
		r.logClock(&eff.Clocks[i])
	}
	if eff.Offset != nil {
		r.logOffset(time.Duration(*eff.Offset) * time.Millisecond)
	}
	if eff.HandedOver {
		close(r.handedOver)
	}
	if eff.Freeze {
		r.toApply.put(applyInput{kind: applyFreeze})
	}
	for _, m := range eff.Apply {
		r.toApply.put(applyInput{kind: applyEntries, entries: m})
	}
	for _, p := range eff.Repairs {
		r.toApply.put(applyInput{kind: applyServe, repair: p})
	}
	if eff.Snapshot > 0 {
		r.toApply.put(applyInput{kind: applyTake, index: eff.Snapshot})
	}
	for _, f := range eff.Forwards {
		if !r.cfg.Transport.Forward(f.To, f.Payload) {
			r.machine.core.Interrupted(f.To)
		}
	}
	for _, s := range eff.Signals {
		r.cfg.Transport.Signal(s.To, s.Payload) // lost ones are made up for by the next
	}
	for _, e := range eff.Expired {
		r.cfg.Clients[e.Loop].Expired(e.Tag, e.Sent, e.Why)
		r.machine.applier.st.behind.drop(e.Loop, e.Tag)
	}
	for _, d := range eff.Reads {
		r.cfg.Clients[d.Loop].ReadsDone(d.N, d.OK)
	}
}

func (r *Replica) send(m *pb.Message, round uint64) {
	if !r.cfg.Transport.Send(m, round) && m.GetType() == pb.MsgApp {
		r.in.put(input{kind: inputUnreachable, peer: m.GetTo()})
	}
}

func (r *Replica) publish(now time.Duration) {
	if s := r.machine.core.Status(); s != *r.status.Load() {
		r.observeStatus(&s, now)
		if old := r.status.Load(); s.Leader != old.Leader || s.Term != old.Term || s.State != old.State {
			r.log.Debug("role", "state", s.State.String(), "term", s.Term)
			r.leaders.observe(s.Leader, now, &r.timings)
			if r.cfg.Changed != nil {
				r.cfg.Changed(s)
			}
		}
		r.status.Store(&s)
	}
}

func (r *Replica) logTransfer(t *Transfer) {
	to := r.name(t.To)
	switch {
	case t.NoRoom:
		r.log.Warn("the disk is low: handing leadership over", "to", to)
	case t.Stalled > 0:
		r.log.Warn("the disk does not answer: handing leadership over", "to", to, "for", t.Stalled)
	case t.Asked:
		r.log.Info("handing leadership over, as asked", "to", to)
	default:
		r.log.Info("handing leadership over before the stop", "to", to)
	}
}

func (r *Replica) logClock(d *ClockDifference) {
	name, way := r.name(d.Peer), "ahead of"
	if d.Ahead < 0 {
		way = "behind"
	}
	if d.Ahead == 0 {
		r.log.Info(fmt.Sprintf("clock: server %d and this one agree again", name))
		return
	}
	r.log.Warn(fmt.Sprintf("clock: that of server %d is %v %s this server's: have a time server set both; items expire by the median of all clocks",
		name, d.Ahead.Abs().Round(time.Second), way))
}

// logOffset is called on the leader, when it corrects the offset of log time.
func (r *Replica) logOffset(ahead time.Duration) {
	way := "ahead of"
	if ahead < 0 {
		way = "behind"
	}
	if ahead.Abs() <= clockDifferenceMax {
		r.log.Info(fmt.Sprintf("clock: the cluster's time is within %v of the wall clocks", clockDifferenceMax))
		return
	}
	r.log.Warn(fmt.Sprintf("clock: the cluster's time is %v %s the wall clocks of most servers: one was set, or was wrong; times to live go on, times of day are converted",
		ahead.Abs().Round(time.Second), way))
}

// name returns what a node is called in the log.
func (r *Replica) name(raftID uint64) int {
	if r.cfg.ServerID == nil {
		return int(raftID)
	}
	return r.cfg.ServerID(raftID)
}

func (r *Replica) logJudgement(j *Judgement) {
	var digests []any
	for _, d := range j.Digests {
		digests = append(digests, slog.String(fmt.Sprint(r.name(d.Voter)), fmt.Sprintf("%016x-%016x", d.Contents, d.Order)))
	}
	switch j.Verdict {
	case VerdictOK:
		r.log.Info("the state is that of a majority again")
	case VerdictRepairing:
		r.log.Error("the state differs from that of a majority: serving nobody until it is fetched anew",
			"index", j.Index, slog.Group("digests", digests...))
	case VerdictNoMajority:
		r.log.Error("the states of the servers differ, and none has a majority: refusing writes",
			"index", j.Index, slog.Group("digests", digests...))
	}
}
