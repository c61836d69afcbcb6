package node

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/engine"
	"raftcached/internal/admin"
	"raftcached/internal/auth"
	"raftcached/internal/certificates"
	"raftcached/internal/handshake"
	"raftcached/internal/measure"
	"raftcached/internal/page"
	"raftcached/internal/seldom"
	"raftcached/internal/settings"
	"raftcached/internal/yield"
	"raftcached/protocol/server"
	"raftcached/replication"
	"raftcached/replication/identity"
	"raftcached/replication/peer"
)

// Node is one running server: event loops in front, the engine behind, the
// replica between them and its peers.
type Node struct {
	cfg Config

	secret    []byte                               // of the log port; empty: none
	keys      atomic.Pointer[certificates.Keyring] // for peers and the admin port; nil: none
	peers     *peer.TLS                            // see peerTLS
	identity  *identity.Identity
	raftID    uint64                                 // of this node's folder
	known     atomic.Pointer[replication.Membership] // see members
	transport *peer.Transport                        // nil for a lone node
	files     *files
	engine    *engine.Engine
	replica   *replication.Replica
	yielder   *yield.Yielder // of the append worker
	loops     []*loopBackend
	users     *auth.File            // nil: no authentication
	keyring   *certificates.Keyring // for clients; nil: no TLS
	reloading sync.Mutex            // held while keyring reads its files
	refreshes seldom.News[string]   // how it went when a client asked for that
	secured   secured
	front     *server.Server
	client    *Client
	admin     *admin.Server // nil: no admin port
	health    *admin.Server // nil: no port for probes alone
	page      *page.Page    // what it shows in a browser; nil: no admin port
	events    events
	life      life
	narrator  narrator
	room      atomic.Pointer[room] // nil: the files are in memory
	listing   listing

	handshakes *handshake.Processors // those of TLS, at all ports

	closing sync.Once
	done    chan struct{}
	err     error // why the node stopped; set before done is closed
}

// Open starts a node and returns when it serves clients. A node of a cluster
// that was never formed waits, until ctx ends, for every server that is listed.
// A *settings.Error says what to change in the configuration, or with the data folder.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	n := &Node{cfg: cfg, done: make(chan struct{}), handshakes: handshake.NewProcessors(), life: life{since: time.Now()}}
	n.cfg.Logger = n.events.keep(cfg.Logger)
	n.narrator = narrator{node: n, lost: map[int]time.Time{}}
	if err := n.start(ctx); err != nil {
		if n.replica != nil {
			n.handOver()
		}
		return nil, errors.Join(err, n.release())
	}
	go n.watch()
	go n.narrator.watchPeers()
	go n.watchSpace()
	return n, nil
}

// start starts the parts in the order in which they depend on each other: the admin
// port, which tells how far it is, identity, files and state, peers, clients.
func (n *Node) start(ctx context.Context) error {
	err := n.checkBeforeStart()
	if err != nil {
		return err
	}
	if n.secret, err = settings.ReadSecret(n.cfg.Secret, n.cfg.SecretFile); err != nil {
		return err
	}
	if err = n.openKeys(); err != nil {
		return err
	}
	if err = n.openIdentity(); err != nil {
		return err // before its ports: who starts a folder twice has both in common
	}
	n.noteRoom()
	if n.cfg.AdminAddr != "" {
		n.page = n.newPage()
		if n.admin, err = admin.Listen(n.adminConfig(), adminNode{n}); err != nil {
			return addressError(err)
		}
	}
	if n.cfg.HealthAddr != "" {
		if n.health, err = admin.ListenForProbes(n.cfg.HealthAddr, adminNode{n}, n.cfg.Logger); err != nil {
			return addressError(err)
		}
	}
	if n.cfg.AuthFile != "" {
		if n.users, err = auth.Open(n.cfg.AuthFile); err != nil {
			return settings.Errorf("%v", err)
		}
	}
	if err = n.startEncryption(); err != nil {
		return err
	}
	if err = n.identify(ctx); err != nil {
		return err
	}
	if n.engine, err = engine.New(n.cfg.Limits); err != nil {
		return fmt.Errorf("start engine: %w", err)
	}
	var seed [8]byte
	_, _ = rand.Read(seed[:]) // never fails
	n.engine.Propose(binary.LittleEndian.Uint64(seed[:]))
	n.engine.LimitResults(resultBytesMax(n.cfg.Server.Loops+1, n.cfg.Limits.ItemBytesMax))
	n.life.stage.Store(stageReading)
	if err = n.openPast(); err != nil {
		return err
	}
	if err := n.startReplica(); err != nil {
		return err
	}
	n.checkLogTime()
	if n.transport != nil {
		n.transport.Join(*n.identity.Cluster(), n.raftID, n.replica)
	}
	if err = n.applyPast(ctx); err != nil {
		return err
	}
	n.logVersion()
	if err = n.awaitLeader(ctx); err != nil {
		return err
	}
	n.noteRoom() // once more: what was read may have grown the log
	if n.front, err = server.Start(n.serverOptions(), n); err != nil {
		return addressError(err)
	}
	n.life.stage.Store(stageServing)
	return nil
}

func (n *Node) startReplica() error {
	cfg := replication.ReplicaConfig{
		ID: n.raftID, Boot: n.identity.Boot(), Loops: n.cfg.Server.Loops + 1,
		Log: n.files.log, Snapshots: n.files.snapshots, Diverged: n.files.diverged, Machine: machine{n.engine},
		Tick: n.cfg.Tick, ElectionTicks: n.cfg.ElectionTicks, HeartbeatTicks: n.cfg.HeartbeatTicks,
		RequestTimeout: n.cfg.RequestTimeout, Leases: leasesOf(n.cfg.Leases), LogRetainBytes: n.cfg.LogRetainBytes, Wall: n.cfg.wall,
		Logger: n.cfg.Logger, ServerID: n.serverID, Changed: n.narrator.statusChanged, Follow: n.follow,
		KnownVersion: n.knownVersion(), VersionMax: n.versionMax(),
	}
	if n.cfg.wrap != nil {
		cfg.Machine = n.cfg.wrap(machine{n.engine})
	}
	for _, m := range n.identity.Cluster().Members {
		cfg.Formed = append(cfg.Formed, memberOf(m))
	}
	for i := range cfg.Loops { // the last one is the client's
		l := newLoopBackend(n, i)
		n.loops = append(n.loops, l)
		cfg.Clients = append(cfg.Clients, l)
	}
	if n.transport != nil {
		cfg.Transport = n.transport
	}
	var err error
	if n.yielder, err = yield.New(); err != nil {
		return fmt.Errorf("start replication: %w", err)
	}
	cfg.Yield = n.yielder.Yield
	if n.replica, err = replication.StartReplica(cfg); err != nil {
		return n.pastError(fmt.Errorf("start replication: %w", err))
	}
	for _, l := range n.loops {
		l.gate, l.clock = n.replica.Gate(), n.replica.Gate().Now
	}
	n.client = newClient(n.loops[n.cfg.Server.Loops])
	return nil
}

func (n *Node) serverOptions() server.Options {
	o := n.cfg.Server
	o.ItemBytesMax = n.cfg.Limits.ItemBytesMax // as the cluster was formed with
	o.WriteWait = n.cfg.RequestTimeout
	o.Causes = func(took time.Duration) measure.Causes { return n.replica.Causes(took) }
	if n.users != nil {
		o.Authenticator, o.AuthFile = n.users, n.users.Name()
	}
	o.Encryption = n.serverEncryption()
	if n.cfg.ShutdownEnabled {
		o.Shutdown = func() { go n.stop(nil) } // which waits for the loop that calls this
	}
	return o
}

// NewLoop implements server.Backend.
func (n *Node) NewLoop(id int, c server.Completer) server.Loop {
	n.loops[id].loop = c
	return n.loops[id]
}

// readsInline reports whether reads need no confirmation, because the configuration
// says so or there is no other node. Even then, a state that differs from the
// majority's is not shown, nor that of a server that was removed.
func (n *Node) readsInline() bool {
	s := n.replica.Status()
	return s.Alone || n.cfg.LocalReads && s.Verdict != replication.VerdictRepairing && !s.Removed
}

// Client returns the node's client, which ends with it.
func (n *Node) Client() *Client { return n.client }

// ClientAddrs returns the addresses at which clients are served.
func (n *Node) ClientAddrs() []net.Addr { return n.front.Addrs() }

// PeerAddr returns where the other servers reach the node, or nothing.
func (n *Node) PeerAddr() string { return n.cfg.PeerAddr }

// ServerIDs returns the ids of the servers of the cluster, ascending.
func (n *Node) ServerIDs() (ids []int) {
	for _, p := range n.places() {
		ids = append(ids, p.ServerID)
	}
	return ids
}

// Removed reports whether the node knows that its folder was removed or retired.
func (n *Node) Removed() bool {
	return n.replica.Status().Removed || n.members().Excludes(n.raftID)
}

// Leader returns the id of the server that leads, if this node knows one.
func (n *Node) Leader() (serverID int, known bool) {
	if leader := n.replica.Status().Leader; leader != 0 {
		return n.serverID(leader), true
	}
	return 0, false
}

// Done is closed when the node has stopped, by Close or by a failure.
func (n *Node) Done() <-chan struct{} { return n.done }

// Err returns why the node stopped: nil while it runs and after Close, otherwise the
// failure, after which the process must end.
func (n *Node) Err() error {
	select {
	case <-n.done:
		return n.err
	default:
		return nil
	}
}

// watch stops the node when its replica fails: without a reliable log it cannot
// serve.
func (n *Node) watch() {
	<-n.replica.Done()
	if err := n.replica.Err(); !errors.Is(err, replication.ErrStopped) {
		n.stop(n.pastError(err))
	}
}
