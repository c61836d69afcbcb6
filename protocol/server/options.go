package server

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"runtime"
	"time"

	"raftcached/protocol/server/eventloop"
)

// Bounds of one connection and of one event loop.
const (
	// pipelineBytesMax is how much input may lie buffered behind a request that
	// waits before the connection is no longer read from.
	pipelineBytesMax = 64 << 10

	// unansweredWritesMax bounds the writes of one connection that are with the
	// backend. A gat counts once for each key.
	unansweredWritesMax = 4096

	// outChunkBytes is the size at which gathered replies are written out before
	// the turn of the connection ends.
	outChunkBytes = 256 << 10

	// outboundBytesMax is how many bytes of replies may wait for a client to read
	// them before no more of its requests are handled. They go on below half.
	outboundBytesMax = 1 << 20

	// outboundHardBytesMax bounds the waiting replies of gat, whose answers come
	// when the writes are applied and cannot be held back. Above it a gat is
	// answered with an error line, like memcached's out of memory.
	outboundHardBytesMax = 64 << 20

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
	MaxConnections int // -c; default 1024. Over it a client is told so and closed.
	ItemBytesMax   int // -I; default 1 MiB

	// IdleTimeout closes a connection on which nothing arrived for that long and
	// to which no answer is due (-o idle_timeout); 0 is never.
	IdleTimeout time.Duration

	// PartialTimeout closes a connection that began a command and did not
	// complete it in that time; 0 is never.
	PartialTimeout time.Duration

	// Authenticator, if there is one, knows who may use the cache (-Y), and AuthFile
	// is where it has that from, as told by stats settings.
	Authenticator Authenticator
	AuthFile      string

	FlushDisabled bool   // refuse flush_all (-F)
	Shutdown      func() // run by the shutdown command (-A); nil refuses the command. It must not block.

	Version           string // answer of the version command; default "1.6.45"
	RaftcachedVersion string // STAT raftcached_version
	Verbosity         int    // as told by stats settings

	Logger *slog.Logger     // default: nothing is logged
	Now    func() time.Time // wall clock of stats; default time.Now
}

// withDefaults returns o with its zero fields filled, or what is wrong with it.
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
	return o, nil
}

// setDefault gives *p the value v if it is zero.
func setDefault[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
