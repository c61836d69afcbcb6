package server

import (
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// memory is a Backend on a Go map with memcached's semantics. It has switches for
// everything that a real backend may do: answer barriers later, delay answers,
// refuse writes, fail. It records its calls.
type memory struct {
	now func() time.Time

	mu            sync.Mutex
	items         map[string]storedItem
	cas           uint64
	flushAt       time.Time       // from then on, items stored before it are gone
	changing      map[string]bool // if not nil, barriers are granted but for these keys
	delayBarriers bool
	barrierStatus protocol.Status // answer to delayed barriers
	writeStatus   protocol.Status // if not StatusNone, the answer to every operation
	tellsAbsent   bool            // Absent tells what is missing
	joins         bool            // reads behind writes are accepted
	grown         bool            // values are larger than Write has told
	gatKeysMax    int             // keys of a gat that are accepted at once; 0 is no bound
	inFlightMax   int             // operations of one loop that are accepted; 0 is no bound
	later         chan<- func()   // if not nil, receives the functions that apply and answer
	held          bool            // answers wait for release
	waiting       []func()        // what release runs
	state         stats.State     // the result of State, except Items
	log           []string
	logged        *sync.Cond
}

// storedItem is a stored value.
type storedItem struct {
	value   []byte
	flags   uint32
	cas     uint64
	expires time.Time // zero: never
	stored  time.Time
	won     bool // a client was told to fetch it again
}

// newMemory returns an empty memory that answers everything at once.
func newMemory() *memory {
	b := &memory{now: time.Now, items: make(map[string]storedItem), barrierStatus: protocol.StatusOK}
	b.logged = sync.NewCond(&b.mu)
	return b
}

// NewLoop implements Backend.
func (b *memory) NewLoop(_ int, c Completer) Loop { return &memoryLoop{b: b, c: c} }

// State implements Backend: what a test set, and what the items are.
func (b *memory) State() stats.State {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.state
	s.Items = int64(len(b.items))
	return s
}

// Stats implements Backend.
func (b *memory) Stats(arg string) (protocol.StatList, bool) {
	if arg == "raft" {
		return protocol.StatList{{Name: "raft_state", Value: "leader"}}, true
	}
	return protocol.StatList{{Name: "rubbish", Value: "that an unknown argument must not show"}}, false
}

// set changes the switches.
func (b *memory) set(change func(b *memory)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change(b)
}

// answerElsewhere has everything applied and answered on another goroutine, until
// the test ends.
func (b *memory) answerElsewhere(t *testing.T) {
	work := make(chan func(), 1024)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for f := range work {
			f()
		}
	}()
	t.Cleanup(func() { close(work); <-done })
	b.later = work
}

// hold delays all answers until release.
func (b *memory) hold() { b.set(func(b *memory) { b.held = true }) }

// release applies and answers what was held, and answers at once from now on.
func (b *memory) release() {
	b.mu.Lock()
	fs := b.waiting
	b.waiting, b.held = nil, false
	b.mu.Unlock()
	for _, f := range fs {
		f()
	}
}

// releaseOne applies and answers the oldest of what is held.
func (b *memory) releaseOne() {
	b.mu.Lock()
	f := b.waiting[0]
	b.waiting = b.waiting[1:]
	b.mu.Unlock()
	f()
}

// note records an event. b.mu is held.
func (b *memory) note(event string) {
	b.log = append(b.log, event)
	b.logged.Broadcast()
}

// events returns what was recorded.
func (b *memory) events() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.log)
}

// awaitEvents waits until n events were recorded, and returns them.
func (b *memory) awaitEvents(n int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.log) < n {
		b.logged.Wait()
	}
	return slices.Clone(b.log)
}

// memoryLoop is the Loop of memory.
type memoryLoop struct {
	b        *memory
	c        Completer
	ops      []operation
	barriers int
	waiters  []any // of Await
	inFlight int
}

// operation is a copied write. A gat has one for each key.
type operation struct {
	protocol.Request
	key  string
	read bool // it changes nothing
}

// Barrier implements Loop.
func (l *memoryLoop) Barrier() Grant {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.note("barrier")
	switch {
	case l.b.changing != nil:
		return GrantChanges
	case !l.b.delayBarriers:
		return GrantAll
	}
	l.barriers++
	return GrantLater
}

// Grants implements Loop.
func (l *memoryLoop) Grants() bool {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	return l.b.changing != nil || !l.b.delayBarriers
}

// BarrierOfAll implements Loop.
func (l *memoryLoop) BarrierOfAll() Grant {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	l.b.note("barrier of all")
	if !l.b.delayBarriers {
		return GrantAll
	}
	l.barriers++
	return GrantLater
}

// List implements Loop: one item at a time, in the order of the keys.
func (l *memoryLoop) List(dst []byte, c protocol.Command, at uint64, limit int) (out []byte, next uint64, told int, more bool) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	keys := slices.Sorted(maps.Keys(l.b.items))
	if at >= uint64(len(keys)) || limit == 0 {
		return dst, 0, 0, false
	}
	l.b.note("list")
	it := l.b.items[keys[at]]
	dst, tells := protocol.AppendDumped(dst, c, &protocol.Dumped{
		Key: []byte(keys[at]), Flags: it.flags, CAS: it.cas, ValueBytes: len(it.value), SizeBytes: len(it.value), Expiry: -1,
	})
	if tells {
		told = 1
	}
	return dst, at + 1, told, at+1 < uint64(len(keys))
}

// Get implements Loop.
func (l *memoryLoop) Prepare(keys [][]byte) {
	for _, key := range keys {
		if len(key) == 0 {
			panic("told of an empty key")
		}
	}
}

func (l *memoryLoop) Get(dst, key []byte, withCAS bool, h Heed) ([]byte, Found) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	it, ok := l.b.items[string(key)] // does not allocate
	switch {
	case l.underWay(key, h):
		return dst, UnderWay
	case !ok || l.b.gone(it):
		return dst, Miss
	}
	return protocol.AppendValue(dst, key, it.flags, it.cas, withCAS, it.value), Hit
}

// Absent implements Loop.
func (l *memoryLoop) Absent(key []byte, h Heed) bool {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	it, ok := l.b.items[string(key)]
	return l.b.tellsAbsent && !l.underWay(key, h) && (!ok || l.b.gone(it))
}

// Write implements Loop.
func (l *memoryLoop) Write(req *protocol.Request) (accepted, valueBytes int) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	n := 1
	if req.Command == protocol.Gat || req.Command == protocol.Gats {
		n = len(req.Keys)
	}
	if l.b.inFlightMax > 0 && l.inFlight > 0 && l.inFlight+n > l.b.inFlightMax {
		return 0, 0
	}
	if l.b.gatKeysMax > 0 {
		n = min(n, l.b.gatKeysMax)
	}
	l.inFlight += n
	l.b.note("write " + string(req.Key))
	for i := range n {
		op := operation{Request: *req, key: string(req.Key)}
		if req.Command == protocol.Gat || req.Command == protocol.Gats {
			op.key = string(req.Keys[i])
		}
		if it, isGat := l.b.items[op.key], req.Command == protocol.Gat || req.Command == protocol.Gats || req.Command == protocol.MetaGat; isGat && !l.b.grown {
			valueBytes += len(it.value)
		}
		op.Value = slices.Clone(req.Value)
		l.ops = append(l.ops, op)
	}
	return n, valueBytes
}

// ReadBehind implements Loop.
func (l *memoryLoop) ReadBehind(keys [][]byte) (valueBytes int, ok bool) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if !l.b.joins || l.b.inFlightMax > 0 && l.inFlight+len(keys) > l.b.inFlightMax {
		return 0, false
	}
	l.inFlight += len(keys)
	for _, key := range keys {
		l.b.note("read " + string(key))
		valueBytes += len(l.b.items[string(key)].value)
		l.ops = append(l.ops, operation{key: string(key), read: true})
	}
	return valueBytes, true
}

// Flush implements Loop.
func (l *memoryLoop) Flush() {
	ops, barriers := l.ops, l.barriers
	l.ops, l.barriers = nil, 0
	answer := func() {
		results := l.b.apply(ops)
		l.b.mu.Lock()
		status := l.b.barrierStatus
		l.b.mu.Unlock()
		l.c.Post(func() {
			for i := range results {
				l.inFlight--
				l.c.WriteDone(&results[i])
			}
			if barriers > 0 {
				l.c.BarriersDone(barriers, status)
			}
			l.c.ResultsEnd()
		})
	}
	l.b.mu.Lock()
	later := l.b.later
	if l.b.held {
		l.b.waiting = append(l.b.waiting, answer)
		answer = func() {}
	}
	l.b.mu.Unlock()
	if later != nil {
		later <- answer
	} else {
		answer()
	}
}

// apply executes the operations in their order.
func (b *memory) apply(ops []operation) []protocol.Result {
	b.mu.Lock()
	defer b.mu.Unlock()
	results := make([]protocol.Result, len(ops))
	for i := range ops {
		if b.writeStatus != protocol.StatusNone {
			results[i].Status = b.writeStatus
			continue
		}
		results[i] = b.execute(&ops[i])
	}
	return results
}

// gone reports whether the item has expired or was flushed. b.mu is held.
func (b *memory) gone(it storedItem) bool {
	now := b.now()
	return !it.expires.IsZero() && !now.Before(it.expires) ||
		!b.flushAt.IsZero() && !now.Before(b.flushAt) && it.stored.Before(b.flushAt)
}

// execute executes one operation. b.mu is held.
func (b *memory) execute(op *operation) protocol.Result {
	it, found := b.items[op.key]
	if found && b.gone(it) {
		delete(b.items, op.key)
		found = false
	}
	switch {
	case op.read && !found:
		return protocol.Result{Status: protocol.StatusMiss, Key: []byte(op.key)}
	case op.read:
		return protocol.Result{Status: protocol.StatusHit, Key: []byte(op.key), Flags: it.flags, CAS: it.cas, Value: it.value, SizeBytes: len(it.value)}
	}
	switch op.Command {
	case protocol.FlushAll:
		b.flushAt = b.expiry(op.Exptime)
		if op.Exptime <= 0 || !b.flushAt.After(b.now()) {
			clear(b.items)
			b.flushAt = time.Time{}
		}
		return protocol.Result{Status: protocol.StatusOK}
	case protocol.CacheMemlimit:
		if op.Delta < 8<<20 {
			return protocol.Result{Status: protocol.StatusTooSmall}
		}
		if op.Delta > 512<<20 {
			return protocol.Result{Status: protocol.StatusOutOfBounds}
		}
		return protocol.Result{Status: protocol.StatusOK}
	case protocol.Delete:
		if !found {
			return protocol.Result{Status: protocol.StatusNotFound}
		}
		delete(b.items, op.key)
		return protocol.Result{Status: protocol.StatusDeleted}
	case protocol.Touch, protocol.Gat, protocol.Gats:
		return b.touch(op, it, found)
	case protocol.MetaGet, protocol.MetaGat:
		return b.metaGet(op, it, found)
	case protocol.Incr, protocol.Decr:
		return b.count(op, it, found)
	}
	status := b.store(op, it, found)
	return protocol.Result{Status: status, CAS: b.items[op.key].cas, SizeBytes: len(b.items[op.key].value)}
}
