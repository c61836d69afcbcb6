package server

import (
	"log/slog"

	"raftcached/protocol"
	"raftcached/protocol/server/eventloop"
	"raftcached/protocol/server/stats"
)

const (
	// spareBuffersMax and spareBufferBytesMax bound what a loop keeps of reply
	// buffers that are not in use.
	spareBuffersMax     = 16
	spareBufferBytesMax = 2 * outChunkBytes

	// aheadMax is how many keys the backend is told of before they are read.
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

	request protocol.Request // the one being executed
	ahead   [][]byte         // keys that the backend is told of
	spare   [][]byte         // reply buffers that are not in use

	writes   fifo[writeWaiter]
	forms    forms         // of those writes that are formed
	form     protocol.Form // of the write being answered
	barriers fifo[*conn]

	conns   map[*conn]struct{}
	touched []*conn // answered in the current series; see ResultsEnd
	blocked []*conn // the backend refused their write; tried again at ResultsEnd

	flushWanted bool   // the backend has something to send on
	sweeps      uint64 // calls of Tick, plus 1

	counters stats.Counters
}

// newLoop returns the state of an event loop.
func newLoop(s *Server, events eventloop.Loop) *loop {
	return &loop{
		server:  s,
		options: &s.options,
		log:     s.options.Logger,
		events:  events,
		conns:   make(map[*conn]struct{}),
		sweeps:  1,
		ahead:   make([][]byte, 0, aheadMax),
	}
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

// putBuffer takes a reply buffer back.
func (l *loop) putBuffer(b []byte) {
	if len(l.spare) < spareBuffersMax && cap(b) <= spareBufferBytesMax {
		l.spare = append(l.spare, b[:0])
	}
}
