package replication

import (
	"slices"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/replication/disk"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// put gives the raft loop something that has happened.
func (n *simNode) put(in input) {
	n.toRaft = append(n.toRaft, in)
	n.core.wake()
}

func (n *simNode) putApply(in applyInput) {
	n.toApply = append(n.toApply, in)
	n.apply.wake()
}

func (n *simNode) putLog(in appendInput) {
	n.toLog = append(n.toLog, in)
	n.append.wake()
}

// answerAll passes on what is answered without the applier.
func (n *simNode) answerAll(eff *Effects) {
	for _, e := range eff.Expired {
		outcome := simNoLeader
		switch {
		case e.Sent:
			outcome = simUnknown
		case e.Why != RefusalNone:
			outcome = simRefused
		}
		n.expired(e.Tag, outcome)
		n.machine.applier.st.behind.drop(0, e.Tag)
	}
	for _, r := range eff.Reads {
		for range r.N {
			c := n.readers[0]
			n.readers = n.readers[1:]
			c.readDone(r.OK)
		}
	}
}

// send sends a raft message to a peer.
func (n *simNode) send(m *pb.Message, round uint64) {
	n.s.check.sent(n, m)
	b, err := proto.Marshal(m)
	n.must(err)
	n.s.note("send %d %v term %d index %d", n.id, m.GetType(), m.GetTerm(), m.GetIndex())
	n.s.showMessage(m)
	if m.GetType() == pb.MsgVote || m.GetType() == pb.MsgPreVote {
		n.stood++
	}
	c := new(pb.Message)
	n.must(proto.Unmarshal(b, c))
	if !n.network(m.GetTo(), input{kind: inputStep, message: c, round: round}) && m.GetType() == pb.MsgApp && n.s.rng.IntN(2) == 0 {
		n.put(input{kind: inputUnreachable, peer: m.GetTo()})
	}
}

// forwarded is what the leader makes of this node's sub-batches.
func (n *simNode) forwarded(payload []byte) input {
	in, err := forwarded(n.raftID(), n.boot, payload, n.engine.Check)
	n.must(err)
	return *in
}

// network carries something to a node, or loses it. It reports false if it loses
// it by chance.
func (n *simNode) network(raftID uint64, in input) bool {
	s := n.s
	lost := s.rng.IntN(1000) < s.dropPermille
	life, delay := n.life, s.delay(time.Millisecond)
	if s.trouble != nil {
		more, gone := s.trouble.fate(n, s.byRaft(raftID), &in)
		delay, lost = delay+more, lost || gone
	}
	s.after(delay, func() {
		to := s.byRaft(raftID)
		if lost || to == nil || s.cut[[2]int{n.id, to.id}] || !to.up || !n.admittedBy(to) {
			return
		}
		if n.shakesHands(life, to) {
			s.check.members.heard(to, n)
			to.inLife(func() { to.put(in) })()
		}
	})
	return !lost
}

// appendTurn is the append worker's.
func (n *simNode) appendTurn() (steps []simStep) {
	taken := n.toLog
	n.toLog = nil
	for _, e := range n.machine.appender.step(taken, nil) {
		steps = append(steps, n.appendStep(&e))
	}
	return steps
}

func (n *simNode) appendStep(e *appendEffect) simStep {
	switch e.kind {
	case appendInstall:
		return func(done func()) {
			n.facts.installing = e.meta.GetIndex()
			n.s.stats.snapshotsInstalled++
			if n.machine.core.reading.term > 0 { // no longer: what a holder lacks is not committed, and so not cut
				n.s.stats.holdersInstalled++
			}
			n.putApply(applyInput{kind: applyInstall, meta: e.meta, reply: func(err error) {
				if n.tooOld(err) {
					return
				}
				n.must(err)
				done()
			}})
		}
	case appendTell:
		return func(done func()) {
			for _, news := range e.news {
				n.known = news.members
			}
			done()
		}
	case appendRespond:
		return func(done func()) {
			for _, m := range e.peers {
				n.send(m, 0)
			}
			if len(e.own) > 0 {
				n.put(input{kind: inputAppended, messages: e.own})
			}
			done()
		}
	case appendCut:
		return n.during(300*time.Microsecond, func() error {
			n.s.check.cuts(n, e.index)
			return e.carryOut(n.log)
		})
	default:
		return n.save(e)
	}
}

// applyTurn is the applier's.
func (n *simNode) applyTurn() (steps []simStep) {
	a := n.machine.applier
	taken := n.toApply
	n.toApply = nil
	for i := range taken {
		n.s.check.beforeApply(n)
		a.step(&taken[i])
		n.s.check.afterApply(n, nil)
	}
	n.s.check.beforeApply(n)
	n.effects = a.ready(n.effects)
	n.machine.gate.appliedTo(a.st.index)
	n.moved()
	n.s.check.afterApply(n, n.effects)
	if len(a.waiting) > 0 {
		n.s.stats.heldBack++
	}
	for _, e := range n.effects {
		steps = append(steps, n.applyStep(e))
	}
	if len(n.effects) == 0 && n.s.rng.IntN(4) == 0 {
		a.Tidy()
	}
	return steps
}

func (n *simNode) applyStep(e applyEffect) simStep {
	switch e.kind {
	case effectRestore:
		return func(done func()) {
			n.s.after(n.s.delay(time.Millisecond), n.inLife(func() {
				n.restore(&e)
				done()
			}))
		}
	case effectPrune:
		step := n.during(time.Millisecond, func() error { return n.store.Prune(e.index) })
		return func(done func()) {
			step(func() {
				n.s.check.pruned(n, e.index)
				done()
			})
		}
	case effectKeep:
		return n.during(time.Millisecond, func() error {
			err := keepDiverged(n.diverged, e.image)
			if disk.IsFull(err) {
				return nil // the repair does not depend on it
			}
			return err
		})
	default:
		return func(done func()) {
			n.applyEffect(&e)
			done()
		}
	}
}

// restore replaces the state by a snapshot.
func (n *simNode) restore(e *applyEffect) {
	err := restoreSnapshot(n.store, e.meta, n.machine.applier.st)
	if err == nil && e.repair {
		n.s.stats.repairs++
	}
	n.s.check.restored(n)
	n.putApply(applyInput{kind: applyRestored, err: err})
}

// applyEffect carries out an effect that takes no time.
func (n *simNode) applyEffect(e *applyEffect) {
	switch e.kind {
	case effectAnswers:
		for _, answer := range e.answers {
			n.s.check.answers(n, answer.Tag)
			n.answer(&answer)
		}
	case effectReport:
		n.s.note("applied %d to %d", n.id, e.report.Index)
		n.put(input{kind: inputApplied, applied: e.report})
	case effectWrite:
		n.toDisk = append(n.toDisk, e.write)
		n.disk.wake()
	case effectCut:
		n.putLog(appendInput{cut: e.index})
	case effectShip:
		n.ship(e.ship)
	case effectNoShip:
		n.put(input{kind: inputShipped, peer: e.ship.To})
	case effectReply:
		e.reply(e.err)
	case effectAgain:
		n.putApply(applyInput{kind: applyAgain})
	case effectFail:
		if !n.tooOld(e.err) {
			n.must(e.err)
		}
	}
}

// diskTurn is the snapshot writer's.
func (n *simNode) diskTurn() (steps []simStep) {
	taken := n.toDisk
	n.toDisk = nil
	for i := range taken {
		w := &taken[i]
		var told applyInput
		step := n.during(2*time.Millisecond, func() (err error) {
			told, err = n.file.do(w)
			return err
		})
		steps = append(steps, func(done func()) {
			step(func() {
				if told.kind != applyAgain {
					n.putApply(told)
				}
				if w.kind == snapshotCommit {
					n.s.check.committed(n, n.file.at)
				}
				if told.kind == applyEnded && n.file.full != nil {
					n.s.stats.snapshotsGivenUp++
				}
				done()
			})
		})
	}
	return steps
}

// answer passes an answer of the applier to the clients that wait; of two answers
// the first counts. What waits for an earlier sub-batch will get none.
func (n *simNode) answer(a *Answer) {
	for len(n.waiting) > 0 && n.waiting[0].tag < a.Tag {
		n.pop(simUnknown, nil)
	}
	if len(n.waiting) == 0 || n.waiting[0].tag != a.Tag {
		return
	}
	if asked := n.waiting[0].client.asked; asked > 0 {
		n.guess.Learn(asked, n.machine.gate.Now(), n.engine.TimeMs())
	}
	if a.Results == nil {
		n.pop(simUnknown, nil)
		return
	}
	if w := n.waiting[0]; w.client.results != nil {
		n.waiting = n.waiting[1:]
		if !w.over {
			w.client.results(a.Results.(*engine.Results))
		}
		return
	}
	for r := range a.Results.(*engine.Results).All(new(item.Result)) {
		n.pop(simAnswered, r)
	}
}

func (n *simNode) pop(outcome simOutcome, r *item.Result) {
	w := n.waiting[0]
	n.waiting = n.waiting[1:]
	if w.over { // it was answered before, out of turn
		return
	}
	w.client.answered(outcome, r)
}

// expired answers a sub-batch that is refused, or has waited too long. Earlier ones
// may still wait: only a connection's answers must be in their order.
func (n *simNode) expired(tag uint64, outcome simOutcome) {
	i := slices.IndexFunc(n.waiting, func(w simWaiter) bool { return w.tag == tag })
	if i < 0 || n.waiting[i].over {
		return
	}
	n.waiting[i].over = true
	client := n.waiting[i].client
	for len(n.waiting) > 0 && n.waiting[0].over {
		n.waiting = n.waiting[1:]
	}
	client.answered(outcome, nil)
}
