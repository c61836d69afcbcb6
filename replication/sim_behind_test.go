package replication

import (
	"fmt"
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
	read *simRead // nil: an operation
	key  string   // of the read
	sure bool     // the read must show value
	want string
}

// behind sends one sub-batch after the other, to any node.
func (r *simReaders) behind() {
	s := r.s
	s.after(s.delay(4*time.Millisecond), func() {
		if r.stopped {
			return
		}
		n := s.anyNode()
		if !n.up || n.paused || s.now < s.trouble.quietTo {
			r.behind()
			return
		}
		r.submitBehind(n)
	})
}

// submitBehind submits a sub-batch, of operations at random and of reads before, between and
// behind them, or of reads only.
func (r *simReaders) submitBehind(n *simNode) {
	s := r.s
	b := &simBehind{s: s, n: n}
	reads, ops, count := new(engine.Reads), []byte(nil), 0
	has := map[string]string{} // what keys have by operations of this sub-batch
	for range 1 + s.rng.IntN(6) {
		if s.rng.IntN(2) == 0 {
			key := r.key()
			want, sure := has[key]
			reads.Add(count, []byte(key))
			b.steps = append(b.steps, simBehindStep{key: key, sure: sure, want: want})
			continue
		}
		r.writes++
		op := r.change()
		ops = engine.AppendOp(ops, &op)
		count++
		b.steps = append(b.steps, simBehindStep{})
		switch {
		case op.Kind == engine.OpFlushAll:
			clear(has)
		case op.Kind == engine.OpSet && op.Exptime == 0:
			has[string(op.Key)] = string(op.Value)
		case op.Kind == engine.OpDelete:
			has[string(op.Key)] = ""
		default:
			delete(has, string(op.Key))
		}
	}
	b.begin()
	over := false
	c := &simClient{s: s, node: n, told: func(simOutcome, *item.Result) { over = true; r.behind() }, results: func(results *engine.Results) {
		over = true
		b.show(results)
		r.behind()
	}}
	n.lastTag++
	n.waiting = append(n.waiting, simWaiter{tag: n.lastTag, client: c})
	if reads.Len() > 0 {
		n.machine.applier.st.behind.put(0, n.lastTag, reads)
	}
	n.put(input{kind: inputSubmit, tag: n.lastTag, n: count, bytes: ops})
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

// show checks what the reads show: something that is no older than what was committed when they came, and
// what the operations before them have made.
func (b *simBehind) show(results *engine.Results) {
	if results.Len() != len(b.steps) {
		b.s.failf("node %d shows %d results, of %d operations and reads", b.n.id, results.Len(), len(b.steps))
	}
	i := 0
	for r := range results.All(new(item.Result)) {
		st := &b.steps[i]
		i++
		if st.read == nil {
			b.s.stats.acked++
			continue
		}
		b.s.stats.behind++
		b.s.order.shows(st.read, string(r.Value))
		if st.sure && string(r.Value) != st.want {
			b.s.failf("node %d shows %s with %q behind operations that made it %q", b.n.id, st.key, r.Value, st.want)
		}
	}
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
