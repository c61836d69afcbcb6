package replication

import (
	"math"
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

	// Known is an index after which nothing is known as committed to any node: of a leader its
	// commit index. 0: there may be anything in this node's log.
	Known uint64
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
//  3. loads the last change of its key, of all keys, the end of what is known, which is
//     the log's end or comes before it, and the log's newest stamp,
//  4. loads applied: if a change is under way it waits for that index, no later one,
//  5. reads the engine: when a delayed flush_all fires, then the item. What is due by
//     the newest stamp is under way too, up to the known end: see Sight.
//
// All that was published when the lease was loaded was in the log then, because the
// lease was valid, and was marked, because marks are stored before anything is said
// of entries. So 3 finds it under way, or 4 and 5 find it applied: the applier stores
// applied after all else can see the effects. No second look at the lease is needed.
// What is loaded later than the lease may be newer, which is right too: a read
// may show what came while it was answered.
//
// A change under way is one with min(last change, known end) > applied. Nothing is
// ever removed: a log that is cut off ends before the lost change, and what is
// written there has a lower index than what it replaces.
//
// Any node that is no leader may have in its log what others know as committed: there the
// known end is the log's. A leader knows first. What it has not committed nobody
// has seen, and a read may come before it. So it waits only for what is committed and
// not applied, not for what is on its way to a majority. Its commit index counts once
// it has committed an entry of its own term: before, it may not know what earlier leaders
// have committed.
//
// Evicting an item is no change: a node may miss it a moment before others do.
//
// # Waiting
//
// A loop waits in Await. Its own word says for which index; whoever moves applied, the
// log's end or the lease loads that word afterwards, and the loop loads applied and
// the end after it has stored it. So one of them sees the other.
//
// # Who stores what
//
// The raft loop, in publish, before anything else of the same effects leaves: it
// withdraws a lease first, marks what goes to the log, says what is known, and extends a
// lease last. While
// the node has no lease nobody looks: entries are not decoded for their keys then, and
// count for all keys. So who gets a lease waits once for what its log holds.
// The applier, in applied, after the effects of entries are visible and before
// answers leave. LastRead is stored by event loops.
type Gate struct {
	lease   atomic.Int64 // Lease.Until in ns
	term    atomic.Uint64
	applied atomic.Uint64
	end     atomic.Uint64 // last index of the log
	known   atomic.Uint64 // Lease.Known, or math.MaxUint64
	stampMs atomic.Int64  // newest one that was ever in the log
	all     atomic.Uint64 // last entry that may change any key
	slots   [gateSlots]atomic.Uint64

	_        [64]byte // event loops store what follows
	lastRead atomic.Int64
	awaited  []awaited // by loop

	clock   func() time.Duration // that of Core.Observe, for event loops
	moved   func(loop int)       // tells a loop that what it awaits may have come
	machine StateMachine
	marking uint64            // index of the entry that is being marked
	mark    func(hash uint64) // markKey, bound once
	bugs    bugs
}

// awaited is the lowest index that an event loop waits for; 0: none.
type awaited struct {
	atomic.Uint64
	_ [56]byte
}

// newGate returns the gate of a node whose state was restored, and whose log ends at
// last. What the log holds is not known: each key counts as changed by its last entry.
func newGate(machine StateMachine, loops int, applied, last uint64) *Gate {
	g := &Gate{machine: machine, awaited: make([]awaited, loops), moved: func(int) {}}
	g.mark = g.markKey
	g.applied.Store(applied)
	g.end.Store(max(applied, last))
	g.all.Store(max(applied, last))
	g.known.Store(math.MaxUint64)
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

// Now is the time since the replica was started, as Leased returns it.
func (g *Gate) Now() time.Duration { return g.clock() }

// Sight is what a read of one key has to heed. The zero value is nothing.
type Sight struct {
	// Index is that of the change of the key that is under way, or one before it up to
	// which all is known: the read waits until it is applied. 0: there is none.
	Index uint64

	// DueMs is the newest stamp of the log, if End is not applied. An item that expires by then, or is there when
	// a delayed flush_all fires by then, is under way until End is applied: another
	// node may have applied that stamp, and have told that the item is gone. What has
	// expired by the applied time is gone everywhere. 0: nothing is due.
	DueMs int64
	End   uint64
}

// Still is steps 3 and 4 for all keys at once: it reports that all that is known is applied, so
// that no read has to heed anything. Look would say so too, for the hash of a key.
func (g *Gate) Still() bool {
	end := g.End()
	return end <= g.applied.Load()
}

// Look is steps 3 and 4 for a key, by the hash that StateMachine.Keys has for it.
func (g *Gate) Look(hash uint64) Sight {
	changed := max(g.slots[hash%gateSlots].Load(), g.all.Load())
	end := g.End()
	stampMs := g.stampMs.Load()
	applied := g.applied.Load()
	if end <= applied {
		return Sight{}
	}
	s := Sight{DueMs: stampMs, End: end}
	if i := min(changed, end); i > applied {
		s.Index = i
	}
	return s
}

// LookUpTo is what is left to heed of a read that has waited for its Index: what is
// due, up to the End that it has seen.
func (g *Gate) LookUpTo(end uint64) Sight {
	end = min(end, g.end.Load())
	stampMs := g.stampMs.Load()
	if end <= g.applied.Load() {
		return Sight{}
	}
	return Sight{DueMs: stampMs, End: end}
}

// End is the last index that any node may know as committed, as far as this one can tell:
// the log's end, or less.
func (g *Gate) End() uint64 { return min(g.end.Load(), g.known.Load()) }

// Changes reports whether the log holds a change of a key, by its hash, that is not
// applied.
func (g *Gate) Changes(hash uint64) bool {
	changed := max(g.slots[hash%gateSlots].Load(), g.all.Load())
	return min(changed, g.end.Load()) > g.applied.Load()
}

// Await reports whether a read of an event loop has to wait for an index. If so,
// Client.Moved tells when it should ask again: the index is applied, the log was cut
// off before it, or there is no lease any more and a majority should be asked. One
// goroutine may call it for each loop.
func (g *Gate) Await(loop int, index uint64) (waits bool) {
	w := &g.awaited[loop]
	for {
		i := min(index, g.end.Load())
		if i <= g.applied.Load() {
			return false
		}
		for old := w.Load(); (old == 0 || i < old) && !w.CompareAndSwap(old, i); old = w.Load() {
			continue
		}
		if i == min(index, g.end.Load()) {
			return i > g.applied.Load()
		}
	}
}

// wake tells the loops that wait for an index up to the given one.
func (g *Gate) wake(upTo uint64) {
	for loop := range g.awaited {
		w := &g.awaited[loop]
		if i := w.Load(); i != 0 && i <= upTo && w.CompareAndSwap(i, 0) {
			g.moved(loop)
		}
	}
}

// Holds reports whether the node has a lease now. It is no read.
func (g *Gate) Holds() bool { return int64(g.clock()) < g.lease.Load() }

// LastRead is when a client has read on this node, on the clock of Core.Observe and
// by up to readNoteGap too early; 0: never.
func (g *Gate) LastRead() time.Duration { return time.Duration(g.lastRead.Load()) }

// publish is called with the effects of each Ready before anything else is done
// with them. The raft loop calls it.
func (g *Gate) publish(eff *Effects) {
	until, end := int64(eff.Lease.Until), g.end.Load()
	if eff.Lease.Term != g.term.Load() {
		g.lease.Store(0) // what is marked now may be known elsewhere already
		g.term.Store(eff.Lease.Term)
	} else if until < g.lease.Load() {
		g.lease.Store(until)
	}
	for _, m := range eff.Append {
		g.markAll(m, until > 0)
	}
	g.tell(eff.Lease.Known)
	if until > g.lease.Load() {
		g.lease.Store(until)
	}
	if cut := g.end.Load() < end; cut || int64(g.clock()) >= until {
		g.wake(math.MaxUint64)
	}
}

// tell stores what is known: 0 is not told from the log's end.
func (g *Gate) tell(known uint64) {
	if known == 0 {
		known = math.MaxUint64
	}
	if g.known.Load() != known {
		g.known.Store(known)
	}
}

// markAll marks what a MsgStorageAppend changes: its keys, or all.
func (g *Gate) markAll(m *pb.Message, keys bool) {
	if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
		i := s.GetMetadata().GetIndex()
		g.all.Store(i)
		g.end.Store(i)
	}
	n := len(m.GetEntries())
	if n == 0 {
		return
	}
	last := m.GetEntries()[n-1].GetIndex()
	if !keys && !g.bugs.has(bugBeforeLeaseForgotten) {
		g.all.Store(last)
	}
	for _, e := range m.GetEntries() {
		if keys && !g.markEntry(e) {
			g.all.Store(e.GetIndex())
		}
	}
	g.end.Store(last)
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
		g.wake(index)
	}
}
