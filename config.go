package raftcached

import (
	"cmp"
	"log/slog"
	"net"
	"runtime"
	"slices"
	"strings"
	"time"

	"raftcached/internal/node"
	"raftcached/internal/settings"
	"raftcached/replication/disk"
)

// DefaultClientPort is memcached's port.
const DefaultClientPort = settings.PortDefault

// Reads says how a node answers get and gets.
type Reads string

// The ways to answer reads.
const (
	// ReadsLinearizable shows every write that was acknowledged anywhere before
	// the read began. It needs a majority.
	ReadsLinearizable Reads = "linearizable"

	// ReadsLocal shows what the node has applied. It needs no other node and may
	// be stale.
	ReadsLocal Reads = "local"
)

// Leases says which nodes may answer linearizable reads without asking a majority.
type Leases string

// The values of Leases.
const (
	LeasesOff    Leases = "off"    // each read waits for a majority
	LeasesLeader Leases = "leader" // the leader, for as long as a majority has promised to elect nobody else
	LeasesAll    Leases = "all"    // the others too: writes wait for those that clients read at
)

// Config is all that one node needs to know. A field that is zero takes its
// default, so that Config{} is a lone node with memcached's settings. Defaults
// and bounds are listed in docs/configuration.md; Complete fills the defaults in
// and checks the bounds.
//
// A Config is a plain value and may be copied.
type Config struct {
	ServerID int // which of Servers this node is

	// Servers is the whole cluster at its first start, in the order of ids. Without any the
	// node is alone, or see Join; but a DataDir that was in a cluster stays in it, and
	// fields that are zero are as it tells.
	Servers []Server

	DataDir     string   // folder of this node's log and snapshots
	ClientAddrs []string // host:port each, at which clients are served; an empty host is every interface
	PeerAddr    string   // host:port at which peers are served; empty in single-node mode

	// AdminAddr is the host:port of the admin port, HTTP for probes and for
	// raftcachectl; empty: none. Whoever reaches it sees the cluster, and
	// the keys that are asked for most and those of slow commands.
	AdminAddr string

	// HealthAddr is the host:port of a port for probes alone, HTTP without TLS, which answers
	// /livez and /readyz as the admin port does; empty: none.
	HealthAddr string

	MemoryLimitBytes int64 // keys, values and a constant for each item; the state, not the process
	ItemBytesMax     int   // key and value of one item; at most half of MemoryLimitBytes
	NoEvict          bool  // answer "out of memory" rather than evict

	Reads          Reads
	Leases         Leases        // of the cluster as it is formed; later its log says them
	RequestTimeout time.Duration // a request waits at most this long for the cluster

	// Raft's clock. An election starts after ElectionTicks to twice as many ticks
	// without a leader; a leader sends a heartbeat every HeartbeatTicks, at most a
	// third of ElectionTicks. All nodes of a cluster need the same values.
	Tick           time.Duration
	ElectionTicks  int
	HeartbeatTicks int

	MaxConns      int           // client connections at one time
	Threads       int           // event loops
	IdleTimeout   time.Duration // a connection idle this long is closed; 0: never
	FlushDisabled bool          // refuse flush_all

	// DumpingDisabled refuses the commands that list keys: lru_crawler metadump and
	// mgdump, stats cachedump.
	DumpingDisabled bool

	// KeyDelimiter ends the prefixes of keys that commands are counted by, for stats
	// detail. Its first byte counts. Empty: a colon, and clients switch that on.
	KeyDelimiter string

	// SlowTime is from what latency on a command is kept as a slow one, with what it has
	// waited for; 0: none is. HotKeysDisabled has the server not look which keys are asked for
	// most.
	SlowTime        time.Duration
	HotKeysDisabled bool

	// ClusterVersionMax keeps the cluster version from rising beyond it, and so the way back to
	// an earlier program open; 0: it rises as soon as all servers can do more.
	ClusterVersionMax int

	// UnlistAfter is for how long this node must not have reached a server until it
	// leaves it out of its answers to config get cluster; 0: it leaves none out.
	UnlistAfter time.Duration

	// ShutdownEnabled lets clients stop the node with the command shutdown. Done is
	// closed then, and Err is nil.
	ShutdownEnabled bool

	AuthFile string // users, passwords and what users may do; empty: no authentication

	// TLS has clients served with TLS alone, at ClientAddrs. PlainAddrs are further
	// addresses, host:port each, at which they are served without.
	TLS        bool
	PlainAddrs []string

	// TLSCert is the file of the node's certificate and of those that lead to its
	// authority, TLSKey that of its key (empty: it is in TLSCert too), and TLSCA that of
	// the authorities whose certificates clients may show. All are PEM, and read again by
	// Node.Reload and the command refresh_certs.
	TLSCert, TLSKey, TLSCA string

	TLSVerify     int // certificates of clients: 0 not asked for, 1 checked if there is one, 2 or 3 needed
	TLSMinVersion int // 2: TLS 1.2, 3: TLS 1.3

	// Secret is what the servers of a cluster must know to be let in at each other's
	// log port, at least 16 bytes and the same for all. SecretFile is a file that
	// holds it; spaces and line ends around it do not count. At most one may be set.
	// Without any, whoever reaches the log port is let in.
	Secret, SecretFile string

	// SecretOptional lets in servers without the secret too: a cluster that runs gets one
	// server by server. Whoever reaches the log port is let in meanwhile.
	SecretOptional bool

	// PeerCertFile has servers show each other certificates at their log ports, which are
	// in TLS then, and the admin port in TLS too, unless it is open to this machine alone.
	// The certificate names the server, as server-N.raftcached; one of the authorities in
	// PeerCAFile has signed it. Without PeerKeyFile, its key is in the same file. In their
	// names {id} stands for ServerID.
	PeerCertFile, PeerKeyFile, PeerCAFile string

	PeerTLS PeerTLS

	// Join is the log ports of a cluster, host:port each, separated by commas. A node
	// with an empty DataDir asks there to come in under its ServerID, which has to be
	// announced by `raftcachectl member add`. Servers may be empty then: the cluster
	// knows where the node is. A node that is in a cluster ignores it.
	Join string

	// ReplaceEmpty lets a node whose DataDir is empty take the place of the folder that
	// its server had in the cluster, without an operator's word: if nobody hears that
	// folder, and a majority of the voters, to which it still belongs, agrees.
	ReplaceEmpty bool

	Verbose int // 0 to 3, as memcached's -v to -vvv

	// LogRetainBytes is how much of the raft log stays on disk for nodes that fall
	// behind, or the size of the state if that is more.
	LogRetainBytes int64

	// DiskReserveBytes is below how much free room on the disk of DataDir the node counts
	// as full: writes are refused while too few nodes have more. 0: 128 MiB, and twice
	// the size of the items.
	DiskReserveBytes int64

	Logger *slog.Logger // nil: nothing is logged

	// SetVerbosity, if set, is called when a client's command verbosity asks for more or
	// less in the log: level is 0 to 2, as Verbose. It must not block.
	SetVerbosity func(level int)

	// ClientListeners and PeerListener, if set, are used in place of ClientAddrs and
	// PeerAddr. They belong to the node, which closes them, even if Open fails.
	ClientListeners []net.Listener
	PeerListener    net.Listener

	// MemoryDisk, if set, keeps the node's files in place of the operating system's.
	// It is for tests: what a cluster acknowledges then survives the node, but not
	// the process.
	MemoryDisk *MemoryDisk

	origins settings.Origins // what set the fields, for messages
}

// MemoryDisk is a file system in memory, for tests. A node that is opened again
// with the same MemoryDisk and DataDir finds its files there. Nodes may share one
// if their folders differ.
type MemoryDisk struct{ fs *disk.Memory }

// NewMemoryDisk returns an empty file system.
func NewMemoryDisk() *MemoryDisk { return &MemoryDisk{disk.NewMemory()} }

// ConfigError is the type of an error that a change of the configuration repairs, or of what
// it names, as the data folder: to start again does not help before. It says in one sentence
// what is wrong and what to change.
type ConfigError = settings.Error

// Complete returns the configuration with every default filled in, or a
// *ConfigError if it cannot work. It shares no memory with c.
func (c Config) Complete() (Config, error) {
	c.fillAddresses()
	c.fillDependent()
	if err := settings.Complete(&c, c.origins); err != nil {
		return Config{}, err
	}
	if err := c.check(); err != nil {
		return Config{}, err
	}
	return c, nil
}

// fillAddresses sets the defaults of where the node is reached.
func (c *Config) fillAddresses() {
	c.Servers = slices.Clone(c.Servers)
	for i := range c.Servers {
		c.Servers[i].Host, c.Servers[i].AdminHost = settings.BareHost(c.Servers[i].Host), settings.BareHost(c.Servers[i].AdminHost)
	}
	if known := c.recall(); !known && len(c.Servers) == 0 && c.Join == "" {
		c.Servers = []Server{{ID: c.ServerID, Host: "localhost", ClientPort: DefaultClientPort}}
		if len(c.ClientAddrs) == 0 {
			c.ClientAddrs = []string{joinHostPort("", DefaultClientPort)}
		}
	}
	c.ClientAddrs, c.PlainAddrs = slices.Clone(c.ClientAddrs), slices.Clone(c.PlainAddrs)
	if len(c.ClientListeners) > 0 {
		c.ClientAddrs = nil
		for _, l := range c.ClientListeners {
			c.ClientAddrs = append(c.ClientAddrs, l.Addr().String())
		}
	}
	if c.PeerListener != nil {
		c.PeerAddr = c.PeerListener.Addr().String()
	}
	if i := c.self(); len(c.ClientAddrs) == 0 && i >= 0 {
		c.ClientAddrs = []string{c.Servers[i].ClientAddr()}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
}

// recall fills in what the data folder tells of its server and its cluster, if nothing
// else names a cluster. It reports whether the folder does.
func (c *Config) recall() bool {
	if len(c.Servers) > 0 {
		return false
	}
	past, known := node.Recall(c.disk(), cmp.Or(c.DataDir, settings.DataDirDefault))
	if !known {
		return false
	}
	limits, ticks := past.Constants.Limits, past.Constants.Ticks
	fill(&c.ServerID, past.ServerID)
	fill(&c.PeerAddr, past.PeerAddr)
	if len(c.ClientAddrs) == 0 && past.ClientAddr != "" {
		c.ClientAddrs = []string{past.ClientAddr}
	}
	fill(&c.MemoryLimitBytes, limits.MemoryLimitBytes)
	fill(&c.ItemBytesMax, int(limits.ItemBytesMax))
	fill(&c.NoEvict, limits.NoEvict)
	fill(&c.Tick, time.Duration(ticks.TickMs)*time.Millisecond)
	fill(&c.ElectionTicks, int(ticks.ElectionTicks))
	return true
}

// disk is where the node's files are.
func (c *Config) disk() disk.FS {
	if c.MemoryDisk != nil {
		return c.MemoryDisk.fs
	}
	return disk.OS()
}

// self returns the index of this node among the servers, or -1.
func (c *Config) self() int {
	return slices.IndexFunc(c.Servers, func(s Server) bool { return s.ID == c.ServerID })
}

// fillDependent sets the defaults that depend on the machine or on another field:
// they are at most those of the table.
func (c *Config) fillDependent() {
	defaults := Config{}
	settings.Fill(&defaults)
	fill(&c.Threads, min(defaults.Threads, runtime.GOMAXPROCS(0)))
	if c.MemoryLimitBytes > 0 {
		fill(&c.ItemBytesMax, int(min(int64(defaults.ItemBytesMax), c.MemoryLimitBytes/2)))
	}
	ticks := c.ElectionTicks
	fill(&ticks, defaults.ElectionTicks)
	fill(&c.HeartbeatTicks, min(defaults.HeartbeatTicks, max(1, ticks/4)))
}

// fill sets a field that is zero.
func fill[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// check reports the first thing that is wrong with a filled-in configuration,
// beyond the bounds of single fields.
func (c *Config) check() error {
	listed := make([]settings.Server, len(c.Servers))
	for i, s := range c.Servers {
		listed[i] = settings.Server(s)
	}
	if c.Join != "" {
		for addr := range strings.SplitSeq(c.Join, ",") {
			if err := settings.CheckAddr(c.origins.Name(c, "Join"), addr); err != nil {
				return err
			}
		}
	}
	if len(listed) == 0 {
		return c.checkRest()
	}
	if err := settings.CheckServers(listed); err != nil {
		return err
	}
	if c.self() < 0 {
		return settings.Errorf("server id %d is not listed: choose one of %s", c.ServerID, settings.IDs(listed))
	}
	if c.PeerAddr == "" && (len(c.Servers) > 1 || c.Join != "") {
		return settings.Errorf("server %d of a cluster has no peer address: set its host and logPort", c.ServerID)
	}
	return c.checkRest()
}

// checkRest is check without the servers.
func (c *Config) checkRest() error {
	if c.PeerAddr != "" {
		if err := settings.CheckAddr(c.origins.Name(c, "PeerAddr"), c.PeerAddr); err != nil {
			return err
		}
	}
	for field, addr := range map[string]string{"AdminAddr": c.AdminAddr, "HealthAddr": c.HealthAddr} {
		if addr == "" {
			continue
		}
		if err := settings.CheckAddr(c.origins.Name(c, field), addr); err != nil {
			return err
		}
	}
	for _, addr := range c.ClientAddrs {
		if err := settings.CheckAddr("ClientAddrs", addr); err != nil {
			return err
		}
	}
	if err := c.checkTLS(); err != nil {
		return err
	}
	if err := c.checkPeerTLS(); err != nil {
		return err
	}
	if half := c.MemoryLimitBytes / 2; int64(c.ItemBytesMax) > half {
		return c.origins.TooHigh(c, "ItemBytesMax", half, "half", "MemoryLimitBytes")
	}
	if third := c.ElectionTicks / 3; c.HeartbeatTicks > third {
		return c.origins.TooHigh(c, "HeartbeatTicks", int64(third), "a third", "ElectionTicks")
	}
	return nil
}
