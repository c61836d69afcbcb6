package stats

import (
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/protocol"
)

// Source is where a Collector has its numbers from.
type Source struct {
	Loops []*Counters        // one for each event loop
	Conns func() Connections // now
	State func() State       // of the cache, now
	Now   func() time.Time   // wall clock

	Prefixes *Prefixes // nil: none are counted
}

// Connections are the numbers of connections.
type Connections struct {
	Open     int
	Accepted uint64
	Refused  uint64
}

// Collector answers the stats commands of one server. Any goroutine may use it.
type Collector struct {
	settings Settings

	verbosity atomic.Int64
	source    Source
	started   time.Time

	mu   sync.Mutex
	base totals // counts at the last Reset; guarded by mu
}

// NewCollector returns a collector for a server that starts now.
func NewCollector(s Settings, source Source) *Collector {
	if source.Prefixes == nil {
		source.Prefixes = NewPrefixes(0, false)
	}
	c := &Collector{settings: s, source: source, started: source.Now()}
	c.SetVerbosity(s.Verbosity)
	return c
}

// SetVerbosity changes what "stats settings" tells of how much is logged.
func (c *Collector) SetVerbosity(level int) { c.verbosity.Store(int64(level)) }

// Uptime returns how long the server has been running.
func (c *Collector) Uptime() time.Duration { return c.source.Now().Sub(c.started) }

// Report returns the statistics that "stats ARG" asks for. It reports false if
// ARG is none of memcached's, or none that this package knows.
func (c *Collector) Report(arg string) (list protocol.StatList, ok bool) {
	word, _, _ := strings.Cut(arg, " ")
	switch word {
	case "":
		c.addPlain(&list)
	case "settings":
		c.addSettings(&list)
	case "items":
		t := c.totals()
		t.addItems(&list)
	case "slabs":
		t := c.totals()
		t.addSlabs(&list)
	case "sizes":
		list.Add("sizes_status", "disabled")
	default:
		return nil, false
	}
	return list, true
}

// addPlain adds plain stats, in memcached's order. What memcached has and this
// server does not have is left out, except for counts of what cannot happen here:
// tools ask for them. No name may contain a colon: programs take such names for
// stats of a slab.
func (c *Collector) addPlain(l *protocol.StatList) {
	t := c.totals()
	c.addProcess(l)
	l.AddInt("max_connections", int64(c.settings.MaxConnections))
	l.AddInt("curr_connections", int64(t.conns.Open))
	l.AddInt("total_connections", int64(t.conns.Accepted))
	l.AddInt("rejected_connections", int64(t.conns.Refused))
	l.AddInt("connection_structures", int64(t.conns.Open))
	for k := range counterCount {
		l.AddInt(k.name(), int64(t.counts[k]))
		if k == getMisses {
			l.AddInt("get_expired", t.state.GetExpired)
			l.AddInt("get_flushed", 0) // a flush leaves nothing to be met
		}
	}
	l.AddInt("limit_maxbytes", t.state.LimitBytes)
	l.AddInt("accepting_conns", 1) // over the limit they are accepted and refused
	l.AddInt("listen_disabled_num", 0)
	l.AddInt("time_in_listen_disabled_us", 0)
	l.AddInt("threads", int64(len(c.source.Loops)))
	l.AddInt("conn_yields", 0)
	c.settings.Encryption.addPlain(l, c.source.Now())
	t.state.add(l)
}

// addProcess adds what memcached reports of its process.
func (c *Collector) addProcess(l *protocol.StatList) {
	l.AddInt("pid", int64(os.Getpid()))
	l.AddInt("uptime", max(1, int64(c.Uptime().Seconds()))) // programs divide by it
	l.AddInt("time", c.source.Now().Unix())
	l.Add("version", c.settings.Version)
	l.Add("raftcached_version", c.settings.RaftcachedVersion)
	l.Add("libevent", c.settings.EventLoop)
	l.AddInt("pointer_size", strconv.IntSize)
	addRusage(l)
}

// add adds what plain stats report of the cache.
func (s *State) add(l *protocol.StatList) {
	l.AddInt("hash_power_level", powerOf(s.IndexBuckets))
	l.AddInt("hash_bytes", s.IndexBytes)
	l.Add("hash_is_expanding", oneOrZero(s.IndexResizing))
	l.AddInt("bytes", s.Bytes)
	l.AddInt("curr_items", s.Items)
	l.AddInt("total_items", s.TotalItems)
	l.AddInt("expired_unfetched", s.ExpiredUnfetched)
	l.AddInt("evicted_unfetched", s.EvictedUnfetched)
	l.AddInt("evictions", s.Evictions)
	l.AddInt("reclaimed", s.Reclaimed)
}
