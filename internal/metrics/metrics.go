package metrics

import (
	"net/http"
	"time"

	"raftcached/internal/handshake"
	"raftcached/internal/measure"
	"raftcached/protocol/server/stats"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// namespace is what all names begin with.
const namespace = "raftcached"

// scrapesMax is how many scrapes are answered at a time. Others get 503.
const scrapesMax = 4

// Sample is what a server tells at one moment.
type Sample struct {
	Version string
	Server  int // its id

	Serves *Served // nil: it does not serve clients yet
	Disk   *Disk   // nil: its files are in memory, or nobody knows
	TLS    []Port  // the ports that are in TLS
}

// Port is what a server knows of TLS at one of its ports.
type Port struct {
	Name        string    // client, log or admin
	NotAfter    time.Time // until when its certificate is valid, and those between it and its authority
	ExpiresSoon bool      // so that it should be replaced

	// AuthorityNotAfter is when the first of the authorities expires that are believed at the
	// port, as certificates.Keyring has it; zero: nobody's certificates are looked at.
	AuthorityNotAfter    time.Time
	AuthorityExpiresSoon bool

	Handshakes             handshake.Tally
	Reloads, ReloadsFailed uint64 // of its files
}

// Served is what a server tells that serves clients.
type Served struct {
	Counts   map[string]uint64 // since the start, by the names of plain stats
	Conns    stats.Connections
	ConnsMax int
	Cache    stats.State

	Role          string // leader, follower, candidate or learner
	HasLeader     bool
	LeaderChanges uint64 // seen by this server since the start
	Term          uint64
	CommitIndex   uint64
	Applied       uint64
	LastLog       uint64
	Verdict       string // what a comparison of the states has found
	Refuses       string // why writes are refused; none: they are not

	ClusterVersion    uint64 // what all servers can do
	ClusterVersionMax uint64 // what this one tells that it can

	Leases       string // the cluster's setting
	Lease        bool   // this server holds one
	LeaseHolders int    // others to which it has granted one
	Waits        uint64 // of writes for such holders
	Waited       time.Duration
	WaitedMax    time.Duration
	TimeAhead    time.Duration // the cluster's time, of the wall clocks of most servers

	Latencies           [measure.CommandCount]measure.Distribution
	Sync, Commit, Apply measure.Distribution
	ValueSizes          measure.Distribution
	Slow                uint64 // commands

	Voters, Majority, Reachable int      // voters, this server included, and those that it reaches
	Servers                     []Server // all
}

// Server is another server, or this one.
type Server struct {
	ID        int
	Reachable bool
}

// Disk is what a data folder takes, in bytes, and what is left.
type Disk struct{ Free, Reserve, Log, LogMax int64 }

// Handler answers scrapes. sample is called for each, by any goroutine.
func Handler(sample func() Sample) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), collector{sample})
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: scrapesMax})
}

// collector makes metrics of a sample. It is a prometheus.Collector.
type collector struct{ sample func() Sample }

// Describe implements prometheus.Collector.
func (c collector) Describe(ch chan<- *prometheus.Desc) {
	for i := range general {
		ch <- general[i].desc
	}
	for i := range served {
		ch <- served[i].desc
	}
	for i := range histograms {
		ch <- histograms[i].desc
	}
	for i := range onDisk {
		ch <- onDisk[i].desc
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.sample()
	collect(ch, general, &s)
	if s.Serves != nil {
		collect(ch, served, s.Serves)
		collectHistograms(ch, s.Serves)
	}
	if s.Disk != nil {
		collect(ch, onDisk, s.Disk)
	}
}

// metric is a name and what its values are of a sample of some kind.
type metric[S any] struct {
	desc   *prometheus.Desc
	kind   prometheus.ValueType
	values func(s *S, tell func(value float64, labels ...string))
}

// counter is a metric that only grows.
func counter[S any](name, help string, labels []string, values func(*S, func(float64, ...string))) metric[S] {
	return metric[S]{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.CounterValue, values}
}

// gauge is a metric of the moment.
func gauge[S any](name, help string, labels []string, values func(*S, func(float64, ...string))) metric[S] {
	return metric[S]{prometheus.NewDesc(namespace+"_"+name, help, labels, nil), prometheus.GaugeValue, values}
}

// one is the values of a metric without labels.
func one[S any](value func(*S) float64) func(*S, func(float64, ...string)) {
	return func(s *S, tell func(float64, ...string)) { tell(value(s)) }
}

// oneOf is the values of a metric of which one state is 1 and all others are 0.
func oneOf[S any](states []string, state func(*S) string) func(*S, func(float64, ...string)) {
	return func(s *S, tell func(float64, ...string)) {
		now := state(s)
		for _, name := range states {
			tell(truth(name == now), name)
		}
	}
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func collect[S any](ch chan<- prometheus.Metric, metrics []metric[S], s *S) {
	for i := range metrics {
		m := &metrics[i]
		m.values(s, func(value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
		})
	}
}
