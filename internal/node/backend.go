package node

import (
	"cmp"
	"slices"
	"time"

	"raftcached/engine"
	"raftcached/protocol"
	"raftcached/protocol/server"
	"raftcached/replication"
)

const (
	// subBatchBytesTarget is the size at which a forming sub-batch is submitted
	// before the loop's turn ends.
	subBatchBytesTarget = 256 << 10

	// loopBytesMax bounds the unanswered operations of one loop, and the values that
	// they return, see window too. At the bound the loop stops reading from its clients. A
	// single operation may exceed it.
	loopBytesMax = 4 << 20

	// resultBytesMin is the least that the values in all results may have.
	resultBytesMin = 32 << 20

	// opOverheadBytes is what an operation counts for in addition to its own bytes.
	opOverheadBytes = 64

	// clockGap is how often a loop reads the wall clock and delivers read hints, while
	// there are reads.
	clockGap = 20 * time.Millisecond
)

// loopBackend is the node as one event loop sees it, and the event loop as the
// replica sees it: server.Loop on the loop's goroutine, replication.Client on
// the replica's. It turns requests into operations of the engine, collects them in
// sub-batches, and passes their results back.
type loopBackend struct {
	node *Node
	id   int
	loop server.Completer

	gate   *replication.Gate
	clock  func() time.Duration // the gate's
	reader *engine.Reader
	looked time.Duration // at the wall clock, on the gate's clock
	look   look
	waits  []keyWait // of Await
	move   func()    // goOn, bound once
	time   logTime

	ops          []byte // the forming sub-batch
	count        int
	reads        behind // between its operations
	written      written
	formingBytes int // of the forming sub-batch, with overhead
	barriers     int // requested in this turn

	result  protocol.Result // of the operation that is being answered
	lastTag uint64
	waiting []submitted // unanswered sub-batches, by tag
	bytes   int         // forming and waiting, with overhead
	window  window      // how many these may be
}

// submitted is a sub-batch that waits for its answer.
type submitted struct {
	tag   uint64
	count int // operations and reads
	bytes int
	reads int             // bytes of its reads, as behind.bytes
	at    time.Duration   // on the gate's clock
	asked time.Duration   // of one that asks for the time: when, on the gate's clock
	over  protocol.Status // what it is to be answered with when it is its turn, if that is known
}

// newLoopBackend returns the backend of the loop numbered id. It serves once it has a
// replica and its gate.
func newLoopBackend(n *Node, id int) *loopBackend {
	l := &loopBackend{node: n, id: id, reader: n.engine.NewReader(), looked: -clockGap, window: newWindow(n.cfg.RequestTimeout)}
	l.move = l.goOn
	return l
}

// Barrier implements server.Loop.
func (l *loopBackend) Barrier() server.Grant {
	now, leased := l.gate.Leased()
	l.time.nowMs, l.time.lateMs = l.time.guess.At(now)
	l.lookUp(now)
	switch {
	case l.node.readsInline():
		return server.GrantAll
	case leased:
		return server.GrantChanges
	}
	l.barriers++
	return server.GrantLater
}

// Grants implements server.Loop.
func (l *loopBackend) Grants() bool {
	_, leased := l.gate.Leased()
	return leased || l.node.readsInline()
}

// lookUp reads the wall clock and delivers hints, now and then.
func (l *loopBackend) lookUp(now time.Duration) {
	if now-l.looked >= clockGap {
		l.looked = now
		l.reader.SetNow(time.Now().Unix())
		l.deliverHints()
	}
}

// confirm asks for the confirmation that Barrier has done without, and reports
// whether there is anybody to ask.
func (l *loopBackend) confirm() bool {
	if l.node.replica.Status().Alone {
		return false
	}
	l.barriers++
	return true
}

// deliverHints passes the hints of recent reads to the replica.
func (l *loopBackend) deliverHints() {
	if l.reader.Hints() > 0 {
		l.node.replica.Hint(l.reader.TakeHints(nil))
	}
}

// Prepare implements server.Loop.
func (l *loopBackend) Prepare(keys [][]byte) { l.reader.Prepare(keys) }

// Get implements server.Loop.
func (l *loopBackend) Get(dst, key []byte, withCAS bool, h server.Heed) ([]byte, server.Found) {
	if l.isUnderWay(key, h) {
		return dst, server.UnderWay
	}
	view := appendValue
	if withCAS {
		view = appendValueCAS
	}
	dst, found := l.reader.View(dst, key, view)
	switch {
	case found:
		return dst, server.Hit
	case l.withheld():
		return dst, server.UnderWay
	}
	return dst, server.Miss
}

// view calls f with the item of a key, if it is found.
func (l *loopBackend) view(key []byte, h server.Heed, f func(it engine.Item)) server.Found {
	if l.isUnderWay(key, h) {
		return server.UnderWay
	}
	_, found := l.reader.View(nil, key, func(dst, _ []byte, it engine.Item) []byte {
		f(it)
		return dst
	})
	switch {
	case found:
		return server.Hit
	case l.withheld():
		return server.UnderWay
	}
	return server.Miss
}

func appendValue(dst, key []byte, it engine.Item) []byte {
	return protocol.AppendValue(dst, key, it.Flags, 0, false, it.Value)
}

func appendValueCAS(dst, key []byte, it engine.Item) []byte {
	return protocol.AppendValue(dst, key, it.Flags, it.CAS, true, it.Value)
}

// Write implements server.Loop.
func (l *loopBackend) Write(req *protocol.Request) (accepted, valueBytes int) {
	frees := freesDisk(req.Command)
	if frees && (l.count > 0 || l.reads.forming != nil) {
		l.submit(false)
	}
	op := operation(req)
	switch req.Command {
	case protocol.Gat, protocol.Gats:
		return l.writeGat(&op, req.Keys)
	case protocol.MetaGet, protocol.MetaGat:
		valueBytes = l.valueBytes(req.Key)
	}
	if !l.take(opBytes(req) + valueBytes) {
		return 0, 0
	}
	l.written.note(l, req)
	l.ops = engine.AppendOp(l.ops, &op)
	l.count++
	if frees || len(l.ops) >= subBatchBytesTarget {
		l.submit(frees)
	}
	return 1, valueBytes
}

// resultBytesMax is what the values in the results of all loops may have: that of the
// operations and reads that they may have under way.
func resultBytesMax(loops, itemBytesMax int) int64 {
	return max(resultBytesMin, int64(loops)*int64(loopBytesMax+behindBytesMax+itemBytesMax))
}

// take counts bytes that are about to be in flight, unless there is no room for them.
func (l *loopBackend) take(size int) bool {
	if !l.window.takes(l.bytes, size) {
		return false
	}
	l.bytes += size
	l.formingBytes += size
	return true
}

// writeOp is Write for an operation that no request asks for.
func (l *loopBackend) writeOp(op *engine.Op) bool {
	if !l.take(opOverheadBytes + len(op.Key) + len(op.Value)) {
		return false
	}
	l.ops = engine.AppendOp(l.ops, op)
	if l.count++; len(l.ops) >= subBatchBytesTarget {
		l.submit(false)
	}
	return true
}

// freesDisk reports whether a command is what an operator gives when disks are full:
// it makes the next snapshot smaller, and with it the log.
func freesDisk(c protocol.Command) bool { return c == protocol.FlushAll || c == protocol.CacheMemlimit }

func opBytes(req *protocol.Request) int {
	return opOverheadBytes + len(req.Key) + len(req.Value) + len(req.Form.Flags) + len(req.Form.Key)
}

// Flush implements server.Loop.
func (l *loopBackend) Flush() {
	if l.count > 0 || l.reads.forming != nil {
		l.submit(false)
	}
	if l.barriers > 0 {
		l.node.replica.Read(l.id, l.barriers)
		l.barriers = 0
	}
}

func (l *loopBackend) submit(frees bool) {
	l.lastTag++
	w := submitted{tag: l.lastTag, count: l.count, bytes: l.formingBytes, at: l.clock()}
	reads := l.reads.submit(&w)
	l.waiting = append(l.waiting, w)
	l.node.replica.Submit(l.id, l.lastTag, l.count, l.ops, reads, frees)
	l.ops, l.count, l.formingBytes = nil, 0, 0
}

// Answers implements replication.Client.
func (l *loopBackend) Answers(answers []replication.Answer) {
	l.loop.Post(func() {
		for i := range answers {
			l.answer(&answers[i])
			l.failOver()
		}
		l.loop.ResultsEnd()
	})
}

// answer delivers the results of a sub-batch, if it still waits. Earlier sub-batches
// that still wait will have no results: a snapshot already contained them.
func (l *loopBackend) answer(a *replication.Answer) {
	results, _ := a.Results.(*engine.Results) // of this node's machine
	if results != nil {
		defer results.Release()
	}
	for len(l.waiting) > 0 && l.waiting[0].tag < a.Tag {
		l.fail(cmp.Or(l.waiting[0].over, protocol.StatusOutcomeUnknown))
	}
	if len(l.waiting) == 0 || l.waiting[0].tag != a.Tag {
		return
	}
	if asked := l.waiting[0].asked; asked > 0 {
		l.learnTime(asked)
	}
	if results == nil { // it was given up here, or its leader could not read it
		l.fail(cmp.Or(l.waiting[0].over, protocol.StatusMalformed))
		return
	}
	if results.Len() != l.waiting[0].count {
		l.fail(protocol.StatusOutcomeUnknown) // a leader has changed it
		return
	}
	l.pop()
	l.reader.Credit(results)
	for r := range results.All(&l.result) {
		l.loop.WriteDone(r)
	}
}

// fail answers every operation and read of the oldest waiting sub-batch with s.
func (l *loopBackend) fail(s protocol.Status) {
	for range l.pop() {
		l.loop.WriteDone(&protocol.Result{Status: s})
	}
}

// failOver answers the oldest waiting sub-batches whose answers are known.
func (l *loopBackend) failOver() {
	for len(l.waiting) > 0 && l.waiting[0].over != protocol.StatusNone {
		l.fail(l.waiting[0].over)
	}
}

// pop removes the oldest waiting sub-batch and returns its number of operations.
func (l *loopBackend) pop() int {
	w := l.waiting[0]
	l.bytes -= w.bytes
	l.reads.bytes -= w.reads
	l.window.answered(w.bytes, w.at, l.clock())
	l.waiting = l.waiting[1:]
	if len(l.waiting) == 0 {
		l.waiting = nil
	}
	if w.asked > 0 {
		l.timeOver()
	}
	return w.count
}

// Expired implements replication.Client. A sub-batch that was refused waits for the
// answers of earlier ones.
func (l *loopBackend) Expired(tag uint64, sent bool, why replication.Refusal) {
	status := unsent[why]
	if sent {
		status = protocol.StatusOutcomeUnknown
	}
	l.loop.Post(func() {
		if i := slices.IndexFunc(l.waiting, func(w submitted) bool { return w.tag == tag }); i >= 0 {
			l.waiting[i].over = status
		}
		l.failOver()
		l.loop.ResultsEnd()
	})
}

// unsent is the status of a write that was certainly not executed, by the reason.
var unsent = [...]protocol.Status{
	replication.RefusalNone: protocol.StatusNoLeader, replication.RefusalRepairing: protocol.StatusRepairing,
	replication.RefusalNoMajority: protocol.StatusNoMajority, replication.RefusalRemoved: protocol.StatusRemoved,
	replication.RefusalDiskFull: protocol.StatusOutOfMemory, replication.RefusalDiskStalled: protocol.StatusDiskStalled,
}

// Moved implements replication.Client.
func (l *loopBackend) Moved() { l.loop.Post(l.move) }

// ReadsDone implements replication.Client.
func (l *loopBackend) ReadsDone(n int, ok bool) {
	status, now := protocol.StatusOK, l.node.replica.Status()
	switch {
	case ok:
	case now.Removed:
		status = protocol.StatusRemoved
	case now.Verdict == replication.VerdictRepairing:
		status = protocol.StatusRepairing
	case now.Leader == 0:
		status = protocol.StatusNoLeader
	default:
		status = protocol.StatusTimeout
	}
	l.loop.Post(func() {
		l.loop.BarriersDone(n, status)
		l.loop.ResultsEnd()
	})
}
