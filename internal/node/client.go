package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"sync"

	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/protocol"
	"raftcached/protocol/server"
)

// callsMax bounds the calls of a Client that are not answered. Beyond it callers
// wait.
const callsMax = 1024

// ErrClosed is the error of calls that a node refuses, or gives up, because it
// closes.
var ErrClosed = errors.New("the node is closed")

// Client is the cache as the node's own process uses it. It is a loop without
// connections, with a number of its own among the node's loops: its operations are
// batched, numbered and answered like those that arrive on sockets.
//
// Any goroutine may call Write and Read. All else runs on the goroutine of run.
type Client struct {
	backend *loopBackend
	slots   chan struct{} // one token for each call that is not answered
	wake    chan struct{}
	stop    chan struct{} // closed when outstanding calls are to be given up
	ended   chan struct{} // closed when run has returned

	mu      sync.Mutex
	posted  []func()
	queue   []*call
	closing bool
	over    bool // nothing is run any more

	// Owned by run. Calls that have begun are answered in their order.
	blocked []*call // not begun: too many bytes are in flight
	writes  []*call
	reads   []*call
	waits   int // reads that wait in backend.Await
}

// call is one operation or one read.
type call struct {
	req  protocol.Request
	view func(i int, it engine.Item) // of a read: called for each key that was found
	next int                         // key that is read next
	heed server.Heed                 // for the next keys

	confirm bool // of a read: it wants a majority's confirmation, even if reads are local

	op *engine.Op // of a write: instead of req

	mu    sync.Mutex
	state callState

	// Valid when done is closed.
	result protocol.Result
	err    error
	done   chan struct{}
}

// callState is how far a call has come.
type callState uint8

const (
	callQueued    callState = iota
	callBegun               // a write is with the replica and may have effect
	callAbandoned           // its caller returned before it was begun
)

// newClient returns a client of a loop that belongs to it alone. Close ends it.
func newClient(l *loopBackend) *Client {
	c := &Client{
		backend: l, slots: make(chan struct{}, callsMax), wake: make(chan struct{}, 1),
		stop: make(chan struct{}), ended: make(chan struct{}),
	}
	l.loop = c
	go c.run()
	return c
}

// Write executes a write for one key and returns its result, which is the
// caller's. If the context ends first the error is the context's, and the status
// is StatusOutcomeUnknown if the write may have effect.
func (c *Client) Write(ctx context.Context, req protocol.Request) (protocol.Result, error) {
	if item.SizeBytes(len(req.Key), req.Flags, len(req.Value)) > c.backend.node.cfg.Limits.ItemBytesMax {
		if req.Command != protocol.Set { // which removes the old item, as through a socket
			return protocol.Result{Status: item.StatusTooLarge}, nil
		}
		req.TooLarge, req.Value = true, nil
	}
	call := &call{req: req, done: make(chan struct{})}
	if err := c.do(ctx, call); err != nil {
		return protocol.Result{Status: call.status()}, err
	}
	return call.result, nil
}

// FlushDisabled reports whether the node refuses to remove all items.
func (c *Client) FlushDisabled() bool { return c.backend.node.cfg.Server.FlushDisabled }

// Read calls view for each of the keys that is found, with the key's index, on
// another goroutine and before it returns. The item is valid for the call. The
// status is StatusOK if all that was acknowledged before Read was called is seen.
// After an error view may still be running.
func (c *Client) Read(ctx context.Context, keys [][]byte, view func(i int, it engine.Item)) (protocol.Status, error) {
	call := &call{req: protocol.Request{Keys: keys}, view: view, done: make(chan struct{})}
	if err := c.do(ctx, call); err != nil {
		return protocol.StatusNone, err
	}
	return call.result.Status, nil
}

// Confirm is a Read of nothing that needs a majority even where reads are local.
func (c *Client) Confirm(ctx context.Context) (protocol.Status, error) {
	call := &call{view: func(int, engine.Item) {}, confirm: true, done: make(chan struct{})}
	if err := c.do(ctx, call); err != nil {
		return protocol.StatusNone, err
	}
	return call.result.Status, nil
}

// do queues a call and waits for its end, or for the end of the context.
func (c *Client) do(ctx context.Context, call *call) error {
	if err := c.queueCall(ctx, call); err != nil {
		return err
	}
	return c.await(ctx, call)
}

// queueCall queues a call, after those that were queued before.
func (c *Client) queueCall(ctx context.Context, call *call) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	select {
	case c.slots <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	case <-c.ended:
		return ErrClosed
	}
	if !c.enqueue(call) {
		<-c.slots
		return ErrClosed
	}
	return nil
}

// await waits for the end of a call, or of the context.
func (c *Client) await(ctx context.Context, call *call) error {
	select {
	case <-call.done:
		return call.err
	case <-ctx.Done():
		call.abandon()
		return ctx.Err()
	}
}

func (c *Client) enqueue(call *call) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closing {
		return false
	}
	c.queue = append(c.queue, call)
	c.signal()
	return true
}

func (c *Client) signal() {
	select {
	case c.wake <- struct{}{}:
	default: // it has a token
	}
}

// abandon keeps a queued call from being begun: from then on it does not use what it
// borrowed from its caller.
func (c *call) abandon() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == callQueued {
		c.state = callAbandoned
	}
}

// status is what is known of a write that its caller no longer waits for.
func (c *call) status() protocol.Status {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.state == callBegun {
		return protocol.StatusOutcomeUnknown
	}
	return protocol.StatusNone
}

// run is the loop: until it is closed it begins calls and answers them.
func (c *Client) run() {
	defer close(c.ended)
	for {
		select {
		case <-c.wake:
			if c.turn() {
				return
			}
		case <-c.stop:
			c.giveUp()
			return
		}
	}
}

// turn runs posted functions and begins calls. It reports whether the client is
// closed and nothing is outstanding.
func (c *Client) turn() (over bool) {
	c.mu.Lock()
	posted, queue := c.posted, c.queue
	c.posted, c.queue = nil, nil
	c.mu.Unlock()
	for _, f := range posted {
		f()
	}
	c.begin(append(c.blocked, queue...))
	c.backend.Flush()
	if len(c.blocked)+len(c.writes)+len(c.reads)+c.waits > 0 {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = c.closing && len(c.queue) == 0
	return c.over
}

// begin passes calls to the backend, until too much is in flight.
func (c *Client) begin(calls []*call) {
	c.blocked = nil
	for i, call := range calls {
		if !c.beginOne(call) {
			c.blocked = slices.Clone(calls[i:])
			return
		}
	}
}

func (c *Client) beginOne(call *call) (begun bool) {
	call.mu.Lock()
	defer call.mu.Unlock() // held until what the call borrows is copied
	switch {
	case call.state == callAbandoned:
		<-c.slots
		return true
	case call.view != nil:
		call.state = callBegun
		c.read(call)
		return true
	case call.op != nil:
		if !c.backend.writeOp(call.op) {
			return false
		}
	default:
		if accepted, _ := c.backend.Write(&call.req); accepted == 0 {
			return false
		}
	}
	call.state = callBegun
	c.writes = append(c.writes, call)
	return true
}

// read begins a read, or goes on with one that has to ask for another barrier.
func (c *Client) read(call *call) {
	grant := c.backend.Barrier()
	if grant != server.GrantLater && call.confirm && c.backend.confirm() {
		grant = server.GrantLater
	}
	if grant == server.GrantLater {
		c.reads = append(c.reads, call)
		return
	}
	call.heed = server.Heed{Changes: grant == server.GrantChanges}
	c.answer(call)
}

// answer reads the keys of a call. If an item is changing it waits, and goes on there
// when called again.
func (c *Client) answer(call *call) {
	for keys := call.req.Keys; call.next < len(keys); {
		switch c.backend.view(keys[call.next], call.heed, func(it engine.Item) { call.view(call.next, it) }) {
		case server.UnderWay:
			var waits bool
			if call.heed, waits = c.backend.Await(keys[call.next:], call.heed, call); waits {
				c.waits++
				return
			}
		default:
			call.next++
		}
	}
	call.result.Status = protocol.StatusOK
	c.finish(call)
}

// Awaited implements server.Completer.
func (c *Client) Awaited(waiter any, ok bool) {
	c.waits--
	if call := waiter.(*call); ok {
		c.answer(call)
	} else {
		c.read(call)
	}
}

func (c *Client) finish(call *call) {
	close(call.done)
	<-c.slots
}

// Post implements server.Completer.
func (c *Client) Post(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	c.posted = append(c.posted, f)
	c.signal()
}

// WriteDone implements server.Completer.
func (c *Client) WriteDone(r *protocol.Result) {
	call := c.writes[0]
	c.writes[0], c.writes = nil, c.writes[1:] // the array lives on, its values must not
	call.result = *r
	call.result.Key, call.result.Value = nil, bytes.Clone(r.Value)
	c.finish(call)
}

// BarriersDone implements server.Completer.
func (c *Client) BarriersDone(n int, s protocol.Status) {
	reads := c.reads[:n]
	c.reads = c.reads[n:]
	defer clear(reads) // the array lives on, what was found must not
	for _, call := range reads {
		if s == protocol.StatusOK {
			call.heed = server.Heed{}
			c.answer(call)
			continue
		}
		call.result.Status = s
		c.finish(call)
	}
}

// ResultsEnd implements server.Completer. What is blocked goes on at the end of
// the turn.
func (c *Client) ResultsEnd() {}

// close refuses further calls, waits for those that have begun until the context
// ends, and then gives them up.
func (c *Client) close(ctx context.Context) {
	c.mu.Lock()
	c.closing = true
	c.signal()
	c.mu.Unlock()
	select {
	case <-c.ended:
	case <-ctx.Done():
		close(c.stop)
		<-c.ended
	}
}

// giveUp ends all calls without an answer.
func (c *Client) giveUp() {
	c.mu.Lock()
	queue := c.queue
	c.queue, c.posted, c.over = nil, nil, true
	c.mu.Unlock()
	waits := make([]*call, 0, c.waits)
	for _, w := range c.backend.waits {
		waits = append(waits, w.waiter.(*call))
	}
	for _, w := range c.backend.time.waiters {
		waits = append(waits, w.(*call))
	}
	for _, call := range slices.Concat(c.writes, c.reads, waits, c.blocked, queue) {
		call.err = ErrClosed
		c.finish(call)
	}
}
