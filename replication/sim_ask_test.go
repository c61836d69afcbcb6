package replication

import (
	"slices"
	"time"

	"raftcached/engine"
)

// simAsk is a read of a key at a node, as an event loop goes about it, which may stand
// still between any two steps.
type simAsk struct {
	*simRead
	s    *simulation
	done func()
	over bool
	upTo uint64 // the log's end when it was found that a change is under way
}

// simAwait is an ask that waits until an index is applied.
type simAwait struct {
	ask   *simAsk
	index uint64
}

// ask returns a read of a random key at a node. The bytes of the request have arrived.
// done is called when it is over, also if the node crashes.
func (r *simReaders) ask(n *simNode, done func()) *simAsk {
	a := &simAsk{simRead: r.s.order.begin(n, r.key()), s: r.s, done: done}
	n.asks = append(n.asks, a)
	return a
}

// begin asks the gate, or a majority.
func (a *simAsk) begin() {
	if _, leased := a.n.machine.gate.Leased(); leased {
		a.pause(a.look)
		return
	}
	a.confirm()
}

// confirm asks a majority.
func (a *simAsk) confirm() {
	a.n.read(&simClient{s: a.s, node: a.n, toldRead: func(ok bool) {
		if !ok {
			a.finish()
			return
		}
		a.s.stats.reads++
		a.show(readValue(a.n.reader, a.key))
	}})
}

// look waits for the change of the key that is under way, if there is one.
func (a *simAsk) look() {
	g := a.n.machine.gate
	sight := g.Look(engine.HashKey([]byte(a.key)))
	if sight.Index > 0 {
		a.upTo = g.End()
		a.await(min(sight.Index, a.upTo))
		return
	}
	a.pause(func() { a.view(sight) })
}

// view reads what the node has. What is due waits, once.
func (a *simAsk) view(sight Sight) {
	if !a.s.bugs.has(bugDueIgnored) {
		a.n.reader.SetDue(sight.DueMs)
	}
	value := readValue(a.n.reader, a.key)
	due := a.n.reader.Due()
	a.n.reader.SetDue(0)
	if due {
		a.await(sight.End)
		return
	}
	a.s.stats.leased++
	a.show(value)
}

// await waits until an index is applied, or was cut off.
func (a *simAsk) await(index uint64) {
	a.n.awaits = append(a.n.awaits, simAwait{a, index})
	a.n.moved()
}

// moved lets those go on whose wait is over. When the lease has ended, the others ask a
// majority.
func (n *simNode) moved() {
	if len(n.awaits) == 0 {
		return
	}
	g := n.machine.gate
	_, leased := g.Leased()
	left := n.awaits[:0]
	var over []func()
	for _, w := range n.awaits {
		switch {
		case min(w.index, g.end.Load()) <= g.applied.Load():
			n.s.stats.waited++
			over = append(over, func() { w.ask.view(g.LookUpTo(max(1, w.ask.upTo))) })
		case !leased:
			over = append(over, w.ask.confirm)
		default:
			left = append(left, w)
		}
	}
	n.awaits = left
	for _, do := range over {
		n.s.after(n.s.delay(10*time.Microsecond), n.inLife(do))
	}
}

// pause goes on at once mostly, and else after the event loop has stood still.
func (a *simAsk) pause(next func()) {
	if t := a.s.trouble; t.waits() {
		a.s.after(t.wait(), a.n.inLife(next))
		return
	}
	next()
}

func (a *simAsk) show(value string) {
	a.s.order.shows(a.simRead, value)
	a.finish()
}

func (a *simAsk) finish() {
	if a.over {
		return
	}
	a.over = true
	a.n.asks = slices.DeleteFunc(a.n.asks, func(other *simAsk) bool { return other == a })
	a.done()
}
