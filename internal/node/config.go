package node

import (
	"log/slog"
	"net"
	"strconv"
	"time"

	"raftcached/engine"
	"raftcached/internal/certificates"
	"raftcached/protocol/server"
	"raftcached/replication"
	"raftcached/replication/disk"
)

// Config is what a node is assembled from. Package raftcached fills in the defaults
// and checks it.
type Config struct {
	ServerID int      // which of Servers this node is
	Servers  []Server // the whole cluster at its first start, in the order of ids; none: Join names it

	Disk     disk.FS
	DataDir  string // folder of this node's log and snapshots
	PeerAddr string // host:port at which peers are served; empty in single-node mode

	PeerListener net.Listener // open at PeerAddr; nil: the node opens it

	Limits         engine.Limits
	LocalReads     bool          // answer reads without asking the other nodes
	Leases         string        // which nodes answer reads alone: off, leader or all; see identity.Leases
	RequestTimeout time.Duration // a request waits at most this long for the cluster

	Tick           time.Duration // of raft's clock
	ElectionTicks  int
	HeartbeatTicks int
	LogRetainBytes int64

	DiskReserveBytes int64 // writes are refused when less is free; 0: see Node.reserve

	ClusterVersionMax uint64 // the node says that it can do no higher cluster version; 0: all that its program knows

	UnlistAfter time.Duration // config get cluster leaves out who is away for as long; 0: nobody

	AdminAddr       string      // host:port of the admin port; empty: none
	HealthAddr      string      // host:port of the port for probes alone; empty: none
	AuthFile        string      // file of the users; empty: no authentication
	Encryption      *Encryption // of the ports for clients; nil: none
	ShutdownEnabled bool        // let clients stop the node

	Join         string        // log ports of a cluster, host:port each, separated by commas, that an empty folder asks to come in
	LoneWait     time.Duration // how long a server that is listed alone, with an empty folder, waits for others to look for it
	ReplaceEmpty bool          // an empty folder may take the place of the one that this server was in the cluster with

	Secret     string // of the log port, or empty
	SecretFile string // holds it, or empty

	SecretOptional  bool               // servers without the secret are let in
	PeerFiles       certificates.Files // by which the servers know each other; no Chain: there is no TLS
	PeerTLSOptional bool               // servers without TLS are let in

	Server server.Options // of the server for clients; the node sets its Authenticator and Shutdown
	Logger *slog.Logger

	wall func() time.Time                       // if set, the wall clock of log time; for tests
	wrap func(machine) replication.StateMachine // if set, what is applied goes through it; for tests

	known uint64 // the highest cluster version that the program knows, of a test; 0: replication.ClusterVersionKnown
}

// Server is one member of a cluster.
type Server struct {
	ID         int
	Host       string // name or address at which clients and peers reach it
	ClientPort int
	LogPort    int
	AdminAddr  string // host:port of its admin port; empty: none
}

func joinHostPort(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}
