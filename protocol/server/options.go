package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"raftcached/internal/measure"
	"raftcached/protocol/server/eventloop"
)

// Bounds of one connection and of one event loop.
const (
	// pipelineBytesMax is how much input may be buffered while a request waits.
	// Beyond it the connection is not read from.
	pipelineBytesMax = 64 << 10

	// unansweredWritesMax bounds the writes of one connection that the backend has
	// not answered. A gat counts once for each key. Their values may have
	// outboundBytesMax and one more value together.
	unansweredWritesMax = 4096

	// outChunkBytes is the size at which replies are written to the client before
	// the turn of the connection ends.
	outChunkBytes = 256 << 10

	// outboundBytesMax is how many bytes of replies may wait for the client. Beyond
	// it no requests are handled until at most half of it waits.
	outboundBytesMax = 1 << 20

	// outboundHardBytesMax bounds the replies to gat that wait for the client. They
	// come when the writes are applied, and cannot be delayed: their items may have
	// grown since they were passed on. Beyond it a gat is answered with an error line,
	// as memcached does when it is out of memory.
	outboundHardBytesMax = 16 << 20

	// loopsDefault is memcached's default of -t.
	loopsDefault = 4

	// connectionsDefault is memcached's default of -c.
	connectionsDefault = 1024

	// itemBytesDefault is memcached's default of -I.
	itemBytesDefault = 1 << 20
)

// Options configures a Server. The zero value of a field means its default.
type Options struct {
	// Listen holds the TCP addresses to listen on, "host:port" each. Port 0 asks
	// for a free one. At least one is needed.
	Listen []string

	// Listeners, if there are any, are open at the addresses in Listen and are used
	// instead of them. They belong to the Server.
	Listeners []net.Listener

	Loops          int // event loops (-t); default 4, or the number of CPUs if smaller
	MaxConnections int // -c; default 1024. Further clients get an error line and are closed.
	ItemBytesMax   int // -I; default 1 MiB

	// IdleTimeout closes a connection on which nothing arrived for that long, if no
	// answer is due to it (-o idle_timeout); 0 means never.
	IdleTimeout time.Duration

	// KeyDelimiter is what prefixes of keys end with, whose commands "stats detail"
	// counts (-D). If it is set they are counted from the start.
	KeyDelimiter byte

	// PartialTimeout closes a connection whose client has begun a command and does
	// not complete it in that time; 0 means never.
	PartialTimeout time.Duration

	// WriteWait is how long a write waits at most for room at the backend, behind
	// others; 0: for ever.
	WriteWait time.Duration

	// Authenticator decides who may use the cache (-Y); nil lets everyone. AuthFile
	// is where its users are from, for stats settings.
	Authenticator Authenticator
	AuthFile      string

	Encryption *Encryption // nil: without TLS

	FlushDisabled bool   // refuse flush_all (-F)
	DumpDisabled  bool   // refuse to list keys (-X)
	Shutdown      func() // run by the shutdown command (-A); nil refuses the command. It must not block.

	Version           string // answer of the version command; default "1.6.45"
	RaftcachedVersion string // STAT raftcached_version
	Verbosity         int    // for stats settings, until the command verbosity changes it

	// SetVerbosity is run by the command verbosity, with memcached's levels 0 to 2; nil
	// means that nothing more is logged. It must not block.
	SetVerbosity func(level int)

	// SlowTime is from what latency on a command is kept as a slow one; 0: none is. Causes
	// tells what the backend has waited for in the time before now, nil: nothing is known. It
	// must not block.
	SlowTime time.Duration
	Causes   func(took time.Duration) measure.Causes

	HotKeysOff bool // no keys are counted

	clock func() time.Duration // monotonic; default: since the start

	Logger *slog.Logger     // default: nothing is logged
	Now    func() time.Time // clock of stats and of WriteWait; default time.Now. Any goroutine may call it
}

// withDefaults returns o with defaults for its zero fields, or an error if a field
// is invalid.
func (o Options) withDefaults() (Options, error) {
	if len(o.Listen) == 0 {
		return o, errors.New("start server: no address to listen on")
	}
	setDefault(&o.Loops, min(loopsDefault, runtime.NumCPU()))
	setDefault(&o.MaxConnections, connectionsDefault)
	setDefault(&o.ItemBytesMax, itemBytesDefault)
	setDefault(&o.Version, "1.6.45")
	setDefault(&o.RaftcachedVersion, "unknown")
	if o.Loops < 1 || o.Loops > eventloop.LoopsMax {
		return o, fmt.Errorf("start server: %d event loops, want 1 to %d", o.Loops, eventloop.LoopsMax)
	}
	if o.MaxConnections < 1 {
		return o, fmt.Errorf("start server: at most %d connections, want 1 or more", o.MaxConnections)
	}
	if o.ItemBytesMax < 1 {
		return o, fmt.Errorf("start server: items of %d bytes, want 1 or more", o.ItemBytesMax)
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.clock == nil {
		start := time.Now()
		o.clock = func() time.Duration { return time.Since(start) }
	}
	return o, nil
}

// setDefault gives *p the value v if it is zero.
func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
