package eventloop

import (
	"crypto/tls"
	"log/slog"
	"net"
	"time"

	"raftcached/internal/handshake"
)

// Version names the implementation, as "stats" reports it.
const Version = "gnet-v2.10.0"

// LoopsMax is the largest number of event loops of one Engine: gnet's limit.
const LoopsMax = 256

// Conn is one connection.
//
// After the connection has closed its methods do nothing, and it has neither
// input nor output.
type Conn interface {
	// FD returns the number of the connection's descriptor, by which operators
	// know it. It is for display only.
	FD() int

	// RemoteAddr and LocalAddr return the addresses of the client and of the
	// server, as package net prints them.
	RemoteAddr() string
	LocalAddr() string

	// Peek returns all input that has arrived and was not discarded. The slice is
	// owned by the connection. It is valid until the next Discard, until the
	// connection closes, which a Write that fails does, and at most until the
	// method of Handler that asked for it returns.
	Peek() []byte

	// Discard drops the first n bytes of the input, which has at least as many.
	Discard(n int)

	// Buffered returns the number of bytes that Peek would return.
	Buffered() int

	// Write sends p and buffers what the client does not take at once. It keeps
	// no part of p. If it fails, the connection closes.
	Write(p []byte)

	// Outbound returns how many of the bytes written wait for the client; of encrypted
	// ones, as many as they have become.
	Outbound() int

	// NotifyOutbound asks for one call of Handler.Writable, not before this
	// method has returned, when at most limit bytes wait for the client. A second
	// call replaces the first.
	NotifyOutbound(limit int)

	// Pause stops reading from the connection, Resume goes on with it. What has
	// been read already is still reported. Both may be called in any state.
	Pause()
	Resume()

	// Close closes the connection at once: what waits for the client is dropped.
	// Handler.Closed is called before Close returns.
	Close()
}

// Handler is what is done with the events of one connection.
type Handler interface {
	// Readable reports that input has arrived. It is called once for each read of
	// the socket.
	Readable()

	// InputEnded reports that the client will send no more. It can still read:
	// the connection stays open until Conn.Close is called.
	InputEnded()

	// Writable reports what Conn.NotifyOutbound asked for.
	Writable()

	// Closed reports that the connection is gone, for whatever reason. It is the
	// last call. Conn.Write and Conn.Close may call it before they return.
	Closed()
}

// Loop is one event loop.
type Loop interface {
	// Post runs f on the loop's goroutine, after the events at hand. Functions
	// run in the order in which they were posted. After Engine.Stop they are
	// dropped. Any goroutine may call it.
	Post(f func())

	// RequestTurnEnd asks for a call of LoopHandler.TurnEnd after the events at
	// hand. Only the loop's goroutine may call it.
	RequestTurnEnd()
}

// LoopHandler is what the connections of one loop share.
type LoopHandler interface {
	// Open returns the handler of a connection that was accepted. It must not
	// write to the connection or close it.
	Open(c Conn) Handler

	// TurnEnd is called when the events at hand have been handled, if
	// Loop.RequestTurnEnd asked for it, and after functions that were posted.
	TurnEnd()

	// Tick is called once in a Config.TickPeriod.
	Tick()
}

// Config says what to serve.
type Config struct {
	// Listen holds the TCP addresses to listen on, "host:port" each. Port 0 asks
	// for a free one. At least one is needed.
	Listen []string

	// Listeners, if there are any, are used instead of Listen, and belong to the
	// Engine.
	Listeners []net.Listener

	// TLS holds, for each listener, how its connections are encrypted; nil, or none, if
	// they are not. A listener with TLS serves nobody without.
	TLS []*tls.Config

	// HandshakeTimeout is how long a client may take for the handshake of TLS; 0 means
	// 10 seconds.
	HandshakeTimeout time.Duration

	// Handshakes bounds the processor time of handshakes; nil: half of the processors.
	Handshakes *handshake.Port

	Loops          int    // event loops: 1 to LoopsMax
	MaxConnections int    // further ones are refused
	RefusedLine    string // sent to a connection that is refused

	// TickPeriod is the time between two calls of LoopHandler.Tick; 0 is never.
	TickPeriod time.Duration

	// NewLoop returns the handler of the loop numbered id (0, 1, ...). It is called
	// once for each loop by New, before anything is accepted.
	NewLoop func(id int, l Loop) LoopHandler

	Logger *slog.Logger
}
