package replication

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

// simBehind is a sub-batch of reads and operations in turns, as an event loop submits it.
type simBehind struct {
	s     *simulation
	n     *simNode
	steps []simBehindStep
}

// simBehindStep is an operation of a sub-batch, or a read.
type simBehindStep struct {
	read   *simRead // nil: an operation
	key    string   // of the read
	ops    int      // before it
	own    bool     // they may have changed the key
	atOnce string   // what the node had when the read came
	placed bool     // its place in the log is known, and what the key has there
	value  string
}

// behind sends one sub-batch after the other, to any node.
func (r *simReaders) behind() { r.soon(r.submitBehind) }

// submitBehind submits a sub-batch, of operations at random and of reads before, between and
// behind them, or of reads only.
func (r *simReaders) submitBehind(n *simNode) {
	s := r.s
	b := &simBehind{s: s, n: n}
	reads, ops, count := new(engine.Reads), []byte(nil), 0
	changed := map[string]bool{} // by operations of this sub-batch
	for range 1 + s.rng.IntN(6) {
		if s.rng.IntN(2) == 0 {
			key := r.key()
			reads.Add(count, []byte(key))
			b.steps = append(b.steps, simBehindStep{key: key, ops: count, own: changed[key] || changed[""], atOnce: readValue(n.reader, key)})
			continue
		}
		r.writes++
		op := r.change()
		ops = engine.AppendOp(ops, &op)
		count++
		b.steps = append(b.steps, simBehindStep{})
		changed[string(op.Key)] = true // flush_all has no key
	}
	b.begin()
	over := false
	c := &simClient{s: s, node: n, told: func(simOutcome, *item.Result) { over = true; r.behind() }, results: func(results *engine.Results) {
		over = true
		b.show(results)
		r.behind()
	}}
	b.submit(c, reads, count, ops)
	if s.bugs.has(bugBehindOutdated) {
		s.after(2*time.Millisecond, func() {
			if !over {
				b.begin()
			}
		})
	}
}

// begin notes that the reads have come.
func (b *simBehind) begin() {
	for i := range b.steps {
		if st := &b.steps[i]; st.key != "" {
			st.read = b.s.order.begin(b.n, st.key)
		}
	}
}

// submit does what Replica.Submit does. What is kept for others is what somebody waits for.
func (b *simBehind) submit(c *simClient, reads *engine.Reads, count int, ops []byte) {
	n, kept := b.n, b.n.machine.applier.st.behind
	for _, one := range kept.loops[0] {
		if !slices.ContainsFunc(n.waiting, func(w simWaiter) bool { return w.tag == one.tag && !w.over }) {
			b.s.failf("node %d keeps reads of sub-batch %d, for which nobody waits", n.id, one.tag)
		}
	}
	n.lastTag++
	n.waiting = append(n.waiting, simWaiter{tag: n.lastTag, client: c})
	if reads.Len() > 0 {
		kept.put(0, n.lastTag, reads)
		b.s.order.behind[simPlace{n.raftID(), n.boot, n.lastTag}] = b
	}
	n.put(input{kind: inputSubmit, tag: n.lastTag, n: count, bytes: ops})
}

// placed notes what the keys of the reads have behind the first ops operations of the
// sub-batch, of which nothing is read if b is nil.
func (b *simBehind) placed(o *simOrder, ops int) {
	if b == nil {
		return
	}
	for i := range b.steps {
		if st := &b.steps[i]; st.read != nil && st.ops == ops {
			st.placed, st.value = true, readValue(o.reader, st.key)
		}
	}
}

// show checks what the reads show: something that is no older than what was committed when they
// came, and exactly what is there at their place in the log.
func (b *simBehind) show(results *engine.Results) {
	if results.Len() != len(b.steps) {
		b.s.failf("node %d shows %d results, of %d operations and reads", b.n.id, results.Len(), len(b.steps))
	}
	i, reads := 0, 0
	for r := range results.All(new(item.Result)) {
		st := &b.steps[i]
		i++
		if st.read == nil {
			b.s.stats.acked++
			continue
		}
		reads++
		value := b.seen(st, string(r.Value))
		b.s.order.shows(st.read, value)
		if !st.placed || value != st.value {
			b.s.failf("node %d shows %s with %q behind %d operations of its sub-batch, where the log has it with %q: %v",
				b.n.id, st.key, value, st.ops, st.value, st.placed)
		}
		if st.own {
			b.s.stats.behindOwn++
		}
	}
	if b.s.stats.behind += reads; reads == len(b.steps) {
		b.s.stats.behindNone++
	}
}

// seen returns what a read has seen that was done at its place, or, on purpose, not there.
func (b *simBehind) seen(st *simBehindStep, value string) string {
	switch {
	case b.s.bugs.has(bugBehindWhenTold):
		return readValue(b.n.reader, st.key)
	case b.s.bugs.has(bugBehindAtOnce) && !st.own:
		return st.atOnce
	}
	return value
}

// runBehind has sub-batches of reads and operations submitted while a cluster is attacked.
func runBehind(s *simulation, attack func(*simTrouble)) {
	r := s.troubleReaders(2, 6)
	for range 8 {
		r.behind()
	}
	for range simAttacks {
		attack(s.trouble)
		s.runUntil(s.now + 600*time.Millisecond)
	}
	r.stopped = true
}

// TestSeededBugsOfReadsBehind breaks on purpose how reads are done behind operations.
// Nothing is found where nothing is broken.
func TestSeededBugsOfReadsBehind(t *testing.T) {
	needSeeds(t)
	run := func(t *testing.T, seed uint64, bugs bugs, attack func(*simTrouble)) {
		runBehind(newTroubled(t, seed, 3, 0, LeasesAll, simClockBound, simLogRetainBytes, bugs), attack)
	}
	for _, c := range []struct {
		name   string
		bugs   bugs
		attack func(*simTrouble)
		first  uint64 // seed: it finds the fault, as long as the code is the same
	}{
		{"reads join a sub-batch that was submitted before", bugBehindOutdated, (*simTrouble).lag, 1},
		{"reads of a sub-batch that came to nothing", bugBehindUntagged, (*simTrouble).depose, 1},
		{"reads are kept of what is given up", bugBehindKept, (*simTrouble).depose, 1},
		{"reads are done when their results are told", bugBehindWhenTold, (*simTrouble).lag, 1},
		{"reads of what is not changing are done at once", bugBehindAtOnce, (*simTrouble).lag, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			mustFindNothing(t, c.first, func() { run(t, c.first, 0, c.attack) })
			mustFindBug(t, c.first, func(t *testing.T, seed uint64) { run(t, seed, c.bugs, c.attack) })
		})
	}
}

// TestReadsAreKeptByTag: the applier gets the reads of a sub-batch with that, once, and what
// belongs to earlier ones, which are not applied any more, is forgotten.
func TestReadsAreKeptByTag(t *testing.T) {
	b := newBehind(2, 0)
	for tag, reads := range []any{nil, "1", "2", nil, "4", "5"} {
		if reads != nil {
			b.put(1, uint64(tag), reads)
		}
	}
	for _, c := range []struct {
		loop int
		tag  uint64
		want any
		left int
	}{{0, 9, nil, 0}, {1, 0, nil, 4}, {1, 1, "1", 3}, {1, 1, nil, 3}, {1, 3, nil, 2}, {1, 5, "5", 0}, {1, 4, nil, 0}, {1, 6, nil, 0}} {
		if got := b.take(c.loop, c.tag); got != c.want || len(b.loops[c.loop]) != c.left {
			t.Errorf("loop %d, tag %d: %v, and %d are left, want %v and %d", c.loop, c.tag, got, len(b.loops[c.loop]), c.want, c.left)
		}
	}
	if got := fmt.Sprint(b.loops); got != "[[] []]" {
		t.Errorf("%s is kept", got)
	}
}

// TestReadsAreDroppedByTag: only the reads of the sub-batch that is given up are forgotten.
func TestReadsAreDroppedByTag(t *testing.T) {
	b := newBehind(2, 0)
	for tag := range uint64(6) {
		b.put(1, 10*tag, tag)
	}
	for _, c := range []struct {
		loop int
		tag  uint64
		want string
	}{{1, 20, "0 10 30 40 50"}, {1, 20, "0 10 30 40 50"}, {0, 10, "0 10 30 40 50"}, {1, 35, "0 10 30 40 50"}, {1, 0, "10 30 40 50"}, {1, 50, "10 30 40"}, {1, 10, "30 40"}, {1, 40, "30"}, {1, 99, "30"}, {1, 30, ""}, {1, 30, ""}} {
		b.drop(c.loop, c.tag)
		var left []string
		for _, one := range b.loops[1] {
			left = append(left, fmt.Sprint(one.tag))
			if one.reads != one.tag/10 {
				t.Errorf("tag %d has reads %v", one.tag, one.reads)
			}
		}
		if got := strings.Join(left, " "); got != c.want {
			t.Errorf("loop %d without tag %d: %q is left, want %q", c.loop, c.tag, got, c.want)
		}
	}
	b.put(1, 60, "again")
	if got := b.take(1, 60); got != "again" {
		t.Errorf("%v is there after all were dropped", got)
	}
}
