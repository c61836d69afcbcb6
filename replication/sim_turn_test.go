package replication

import (
	"slices"
	"time"
)

// raftTurn feeds the core and carries out what it wants. The clock is read after the
// inputs are taken: what they promise begins when they came.
func (n *simNode) raftTurn() []simStep {
	var taken []input
	take := func() { taken, n.toRaft = n.toRaft, nil }
	first, second := take, n.observe
	if n.s.bugs.has(bugClockFirst) {
		first, second = second, first
	}
	steps := []func(){
		first, second,
		func() { n.feed(taken) },
		func() {
			n.machine.core.Ready(&n.eff)
			n.askedFor(&n.eff)
			n.asked = 0
			n.rest = n.machine.core.Rest()
			n.s.check.ready(n, &n.eff)
		},
	}
	if !n.s.stepwise {
		for _, do := range steps {
			do()
		}
		for _, do := range n.carryOut(&n.eff) {
			do()
		}
		return nil
	}
	return append(stepsOf(steps), func(done func()) { n.core.inTurn(stepsOf(n.carryOut(&n.eff)), done) })
}

// observe tells the core the time.
func (n *simNode) observe() {
	n.machine.core.Observe(n.clock.at(n.s.now), simEpoch.Add(n.s.now+n.wall))
}

func (n *simNode) feed(taken []input) {
	core := n.machine.core
	if n.ticksDue > 1 {
		n.s.stats.rested++
		n.tickCore(n.ticksDue - 1)
	}
	for i := range taken {
		before := len(core.eff.Expired)
		n.must(taken[i].feed(core))
		n.askedFor(&core.eff)
		n.s.check.fed(n, &taken[i], core.eff.Expired[before:])
	}
	n.tickCore(min(n.ticksDue, 1))
	n.ticksDue = 0
}

func (n *simNode) tickCore(ticks int) {
	for range ticks {
		n.machine.core.Reading(n.machine.gate.LastRead())
		n.machine.core.Tick()
		n.askedFor(&n.machine.core.eff)
	}
}

// carryOut returns what is to be done about effects, in order; none of it waits.
func (n *simNode) carryOut(eff *Effects) []func() {
	for _, t := range eff.Transfers {
		n.transfers(&t)
	}
	if eff.Failed != nil {
		n.refuse(eff.Failed)
		return nil
	}
	return []func(){
		func() {
			n.machine.gate.publish(eff)
			n.moved()
		},
		func() { n.carryToPeers(eff) },
		func() { n.carryToWorkers(eff) },
		func() { n.carrySignals(eff) },
		func() { n.answerAll(eff) },
		func() { n.carryMembers(eff) },
	}
}

func (n *simNode) carryToPeers(eff *Effects) {
	for _, m := range eff.Messages {
		n.send(m, eff.Round.of(m))
	}
	for _, ship := range eff.Ships {
		n.ship(ship)
	}
}

func (n *simNode) carryToWorkers(eff *Effects) {
	if f := eff.Fetch; f.First != 0 {
		n.fetch(f)
	}
	for _, m := range eff.Append {
		n.putLog(appendInput{message: m})
	}
	for _, j := range eff.Judged {
		n.judged(&j)
	}
	n.handedOver = n.handedOver || eff.HandedOver
	if eff.Freeze {
		n.putApply(applyInput{kind: applyFreeze})
	}
	for _, m := range eff.Apply {
		n.s.order.take(n, m.GetEntries())
		if ents := m.GetEntries(); n.s.bugs.has(bugAppliedEarly) && len(ents) > 0 {
			n.machine.gate.appliedTo(ents[len(ents)-1].GetIndex())
		}
		n.putApply(applyInput{kind: applyEntries, entries: m})
	}
	for _, r := range eff.Repairs {
		n.putApply(applyInput{kind: applyServe, repair: r})
	}
	if eff.Snapshot > 0 {
		n.putApply(applyInput{kind: applyTake, index: eff.Snapshot})
	}
}

// fetch reads back entries of the log, which may be replaced before the core has them.
func (n *simNode) fetch(f Fetch) {
	n.s.after(n.s.delay(300*time.Microsecond), n.inLife(func() {
		ents, err := f.do(n.log)
		n.s.stats.fetched += len(ents)
		n.s.after(n.s.delay(100*time.Microsecond), n.inLife(func() {
			n.put(input{kind: inputFetched, entries: ents, err: err})
		}))
	}))
}

func (n *simNode) carrySignals(eff *Effects) {
	for _, f := range eff.Forwards {
		n.s.showForward(n, f)
		n.network(f.To, n.forwarded(slices.Clone(f.Payload)))
	}
	for _, f := range eff.Signals {
		switch f.Payload[1] {
		case signalGrant:
			n.s.stats.grants++
		case signalReturned:
			n.s.stats.returned++
		}
		n.s.showSignal(n, f)
		n.network(f.To, input{kind: inputSignalled, peer: n.raftID(), bytes: f.Payload})
	}
}

func (n *simNode) carryMembers(eff *Effects) {
	for i := range eff.Outcomes {
		n.s.check.members.outcome(n, &eff.Outcomes[i])
	}
	if eff.Members != nil {
		n.putLog(appendInput{news: &memberNews{members: eff.Members}})
	}
}
