package replication

import (
	"sync/atomic"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// gateSlots is the number of keys that are told apart, by their hashes. A read of
	// a key may wait for a change of another one of the same slot.
	gateSlots = 1 << 14

	// readNoteGap is how exactly LastRead is known.
	readNoteGap = 50 * time.Millisecond
)

// Lease is until when a node may answer reads without asking a majority.
//
// Invariant: while it is valid, nothing is known as committed to any node that is
// not in this node's log.
type Lease struct {
	Until time.Duration // on the clock of Core.Observe; 0: there is none
	Term  uint64        // the node's, also without a lease
}

// Gate is what an event loop asks whether it may answer a read by itself. It is a
// few atomic words, which the raft loop and the applier store and event loops load.
//
// # The order
//
// A read is right if it shows all that was acknowledged to anybody before it
// arrived. Its bytes have arrived; then, each once and in this order, it
//
//  1. loads the lease,
//  2. reads the clock: the lease is valid, or a majority has to be asked;
//  3. loads the last change of its key, of all keys, the log's end and its newest stamp,
//  4. loads applied: if a change is under way it waits for that index, no later one,
//  5. reads the engine: when a delayed flush_all is due, then the item. What is due
//     by the newest stamp is under way too, up to the log's end: see Sight.
//
// All that was published when the lease was loaded was in the log then, because the
// lease was valid, and was marked, because marks are stored before anything is said
// of entries. So 3 finds it under way, or 4 and 5 find it applied: the applier stores
// applied after all else can see the effects. No second look at the lease is needed.
// What is loaded later than the lease may be newer, which is right too: a read
// may show what came while it was answered.
//
// A change under way is one with min(last change, log's end) > applied. Nothing is
// ever removed: a log that is cut off ends before the lost change, and what is
// written there has a lower index than what it replaces.
//
// Evicting an item is no change: a node may miss it a moment before others do.
//
// # Who stores what
//
// The raft loop, in publish, before anything else of the same effects leaves: it
// withdraws a lease first, marks what goes to the log, and extends a lease last.
// The applier, in applied, after the effects of entries are visible and before
// answers leave. LastRead is stored by event loops.
type Gate struct {
	lease   atomic.Int64 // Lease.Until in ns
	term    atomic.Uint64
	applied atomic.Uint64
	end     atomic.Uint64 // last index of the log
	stampMs atomic.Int64  // newest one that was ever in the log
	all     atomic.Uint64 // last entry that may change any key
	slots   [gateSlots]atomic.Uint64

	_        [64]byte // event loops store what follows
	lastRead atomic.Int64
	_        [64]byte

	clock   func() time.Duration // that of Core.Observe, for event loops
	machine StateMachine
	marking uint64            // index of the entry that is being marked
	mark    func(hash uint64) // markKey, bound once
}

// newGate returns the gate of a node whose state was restored, and whose log ends at
// last. What the log holds is not known: each key counts as changed by its last entry.
func newGate(machine StateMachine, applied, last uint64) *Gate {
	g := &Gate{machine: machine}
	g.mark = g.markKey
	g.applied.Store(applied)
	g.end.Store(max(applied, last))
	g.all.Store(max(applied, last))
	return g
}

// Leased is steps 1 and 2 for all reads that have arrived by now: it reports whether
// they may be answered by what Look says. If not, Replica.Read confirms them. now is
// the time since the replica was started.
func (g *Gate) Leased() (now time.Duration, leased bool) {
	until := g.lease.Load()
	now = g.clock()
	if at := g.lastRead.Load(); int64(now)-at >= int64(readNoteGap) || at == 0 {
		g.lastRead.Store(max(1, int64(now)))
	}
	return now, int64(now) < until
}

// Sight is what a read of one key has to heed.
type Sight struct {
	// Index is the change of the key that is under way: the read waits until it is
	// applied, and then is answered without another look. 0: there is none.
	Index uint64

	stampMs int64 // what is due by then is under way; 0: nothing is
	end     uint64
}

// Look is steps 3 and 4 for a key, by the hash that StateMachine.Keys has for it.
func (g *Gate) Look(hash uint64) Sight {
	changed := max(g.slots[hash%gateSlots].Load(), g.all.Load())
	end := g.end.Load()
	stampMs := g.stampMs.Load()
	applied := g.applied.Load()
	if end <= applied {
		return Sight{}
	}
	s := Sight{stampMs: stampMs, end: end}
	if i := min(changed, end); i > applied {
		s.Index = i
	}
	return s
}

// Due returns the index to wait for if something that happens at the given time, in
// ms of Unix time, is under way: an item expires then, or a delayed flush_all
// fires. It is 0 if nothing is, and if the time is 0.
//
// Another node may have applied the newest stamp already, and answered that the item
// is gone. An item that has expired by the applied time is gone everywhere.
func (s Sight) Due(atMs int64) (index uint64) {
	if atMs != 0 && atMs <= s.stampMs {
		return s.end
	}
	return 0
}

// LastRead is when a client has read on this node, on the clock of Core.Observe and
// by up to readNoteGap too early; 0: never.
func (g *Gate) LastRead() time.Duration { return time.Duration(g.lastRead.Load()) }

// publish is called with the effects of each Ready before anything else is done
// with them. The raft loop calls it.
func (g *Gate) publish(eff *Effects) {
	until := int64(eff.Lease.Until)
	if eff.Lease.Term != g.term.Load() {
		g.lease.Store(0) // what is marked now may be known elsewhere already
		g.term.Store(eff.Lease.Term)
	} else if until < g.lease.Load() {
		g.lease.Store(until)
	}
	for _, m := range eff.Append {
		g.markAll(m)
	}
	if until > g.lease.Load() {
		g.lease.Store(until)
	}
}

// markAll marks what a MsgStorageAppend changes.
func (g *Gate) markAll(m *pb.Message) {
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		i := s.GetMetadata().GetIndex()
		g.all.Store(i)
		g.end.Store(i)
	}
	for _, e := range m.GetEntries() {
		if !g.markEntry(e) {
			g.all.Store(e.GetIndex())
		}
	}
	if n := len(m.GetEntries()); n > 0 {
		g.end.Store(m.GetEntries()[n-1].GetIndex())
	}
}

// markEntry marks the keys of an entry, and its stamp. It reports false if the entry
// may change others, or cannot be read.
func (g *Gate) markEntry(e *pb.Entry) (noOthers bool) {
	data := e.GetData()
	switch {
	case e.GetType() == pb.EntryConfChangeV2: // changes the members only
		return true
	case e.GetType() != pb.EntryNormal:
		return false
	case len(data) == 0: // a new leader's first entry
		return true
	}
	r := frame.NewReader(data)
	h, err := entryHeader(&r)
	if err != nil {
		return false
	}
	g.marking = e.GetIndex()
	noOthers = true
	for range h.subBatches {
		s, err := readSubBatch(&r)
		if err != nil {
			return false
		}
		noOthers = g.machine.Keys(s.Count, s.Ops, g.mark) && noOthers
	}
	if h.stampMs > g.stampMs.Load() {
		g.stampMs.Store(h.stampMs)
	}
	return noOthers
}

func (g *Gate) markKey(hash uint64) { g.slots[hash%gateSlots].Store(g.marking) }

// appliedTo is called once the effects of all entries up to index are visible, and
// before anybody is told. The applier calls it.
func (g *Gate) appliedTo(index uint64) {
	if index > g.applied.Load() {
		g.applied.Store(index)
	}
}
