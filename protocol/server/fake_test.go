package server

import (
	"time"

	"raftcached/protocol/server/eventloop"
	"raftcached/protocol/server/stats"
)

// fakeLoop is an event loop without a goroutine: a test runs its turns.
type fakeLoop struct{ posted []func() }

func (f *fakeLoop) Post(post func()) { f.posted = append(f.posted, post) }
func (f *fakeLoop) RequestTurnEnd()  {}

// fakeConn is a connection without a network. Its input can be rewound and its
// output is counted.
type fakeConn struct {
	loop    *fakeLoop
	handler eventloop.Handler
	c       *conn // the handler

	input   []byte
	at      int // of the input, what was discarded
	wrote   []byte
	writes  func() // called before each write, unless nil
	waiting int    // bytes of output that the client does not take
	limit   int    // of NotifyOutbound; -1 if it is not asked
	paused  bool
	closed  bool
}

func (f *fakeConn) FD() int              { return -1 }
func (f *fakeConn) RemoteAddr() string   { return "client" }
func (f *fakeConn) LocalAddr() string    { return "server" }
func (f *fakeConn) Peek() []byte         { return f.input[f.at:] }
func (f *fakeConn) Discard(n int)        { f.at += n }
func (f *fakeConn) Buffered() int        { return len(f.input) - f.at }
func (f *fakeConn) Outbound() int        { return f.waiting }
func (f *fakeConn) NotifyOutbound(n int) { f.limit = n }
func (f *fakeConn) Pause()               { f.paused = true }
func (f *fakeConn) Resume()              { f.paused = false }

func (f *fakeConn) Write(p []byte) {
	if f.writes != nil {
		f.writes()
	}
	f.wrote = append(f.wrote, p...)
}

func (f *fakeConn) Close() {
	f.closed = true
	f.handler.Closed()
}

// openFake opens a fake connection with input on a loop of its own.
func openFake(b Backend, input string) *fakeConn {
	options := Options{ItemBytesMax: 1 << 20, Now: time.Now, SlowTime: time.Second, clock: func() time.Duration { return 0 }}
	s := &Server{prefixes: stats.NewPrefixes(0, false), options: options, backend: b}
	f := &fakeConn{loop: &fakeLoop{}, input: []byte(input), limit: -1}
	f.handler = s.newLoop(0, f.loop).Open(f)
	f.c = f.handler.(*conn)
	return f
}

// turn has the server handle the whole input, once more.
func (f *fakeConn) turn() {
	f.at, f.wrote = 0, f.wrote[:0]
	f.handler.Readable()
}

// receive has the server handle more input.
func (f *fakeConn) receive(more string) {
	f.input = append(f.input, more...)
	f.handler.Readable()
}

// takeReplies returns what was written since the last call.
func (f *fakeConn) takeReplies() string {
	replies := string(f.wrote)
	f.wrote = nil
	return replies
}
