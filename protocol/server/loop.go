package server

import (
	"log/slog"

	"raftcached/internal/measure"
	"raftcached/protocol"
	"raftcached/protocol/server/eventloop"
	"raftcached/protocol/server/stats"
)

const (
	// spareBuffersMax and spareBufferBytesMax bound the reply buffers that a loop
	// keeps for later use.
	spareBuffersMax     = 16
	spareBufferBytesMax = 2 * outChunkBytes

	// aheadMax is how many keys are announced to the backend at once.
	aheadMax = 32
)

// loop is what the connections of one event loop share. It is the Completer of
// its backend and the eventloop.LoopHandler of its event loop. All of it but Post
// and the published counters belongs to the loop's goroutine.
type loop struct {
	server  *Server
	options *Options
	log     *slog.Logger
	backend Loop
	events  eventloop.Loop

	request protocol.Request // the one being executed; reused
	room    protocol.Room    // of the parsers of all connections
	ahead   [][]byte         // keys being announced to the backend; reused
	present [][]byte         // keys of a gat that are not missing; reused
	places  []int            // of them in its keys
	miss    protocol.Result  // a miss; its key is that of the last one
	spare   [][]byte         // reply buffers that are not in use

	writes   fifo[writeWaiter] // writes that the backend has not answered
	forms    forms             // of those writes that are formed
	form     protocol.Form     // of the write being answered
	barriers fifo[*conn]       // who waits for the barriers that are not answered

	conns   roll    // open connections
	touched []*conn // served at ResultsEnd
	blocked []*conn // in waitBackend, in the order in which they were refused
	served  int     // how many of blocked have had their turn; 0 outside unblock
	turn    *conn   // the one of blocked that may write before the others

	dumps dumps // of its connections

	announced announced

	flushWanted bool   // the backend has something to submit
	sweeps      uint64 // calls of Tick, plus 1

	counters stats.Counters
	timing   timing
}

// newLoop returns the state of an event loop.
func newLoop(s *Server, events eventloop.Loop) *loop {
	l := &loop{
		server:  s,
		options: &s.options,
		log:     s.options.Logger,
		events:  events,
		sweeps:  1,
		ahead:   make([][]byte, 0, aheadMax),
		miss:    protocol.Result{Status: protocol.StatusMiss},
	}
	l.timing.loop, l.timing.events, l.timing.keys = l, gap(sampledEvents), gap(measure.SampleEvery)
	if s.hot != nil {
		l.timing.hot = new(measure.Ring)
		s.hot.rings = append(s.hot.rings, l.timing.hot)
	}
	return l
}

// Post implements Completer.
func (l *loop) Post(f func()) { l.events.Post(f) }

// wantFlush has the backend's Flush called at the end of the turn.
func (l *loop) wantFlush() {
	l.flushWanted = true
	l.events.RequestTurnEnd()
}

// TurnEnd implements eventloop.LoopHandler.
func (l *loop) TurnEnd() {
	if l.flushWanted {
		l.flushWanted = false
		l.backend.Flush()
	}
	l.timing.end() // what went on when a client took its answers
	l.timing.fresh = false
	l.counters.Publish()
}

// takeBuffer returns an empty reply buffer.
func (l *loop) takeBuffer() []byte {
	if n := len(l.spare); n > 0 {
		b := l.spare[n-1]
		l.spare = l.spare[:n-1]
		return b
	}
	return make([]byte, 0, 4096)
}

// putBuffer takes back a reply buffer.
func (l *loop) putBuffer(b []byte) {
	if len(l.spare) < spareBuffersMax && cap(b) <= spareBufferBytesMax {
		l.spare = append(l.spare, b[:0])
	}
}
