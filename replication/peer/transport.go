package peer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"raftcached/internal/handshake"
	"raftcached/internal/seldom"
	"raftcached/replication/identity"

	pb "go.etcd.io/raft/v3/raftpb"
	"golang.org/x/sys/unix"
)

const (
	handshakeTimeout = 3 * time.Second

	// unackedTimeout is how long sent data may stay unacknowledged before the
	// connection fails. TCP alone would retry for minutes, at growing intervals, and
	// notice late that a partition has healed.
	unackedTimeout = 2 * time.Second
)

// Handler receives what peers send. Slices and messages belong to it. Except for
// HandleSnapshot its methods must not block for long.
type Handler interface {
	// HandleRaft is given the round that came with the message, see Send.
	HandleRaft(from uint64, m *pb.Message, round uint64)
	// HandleForward is given the boot number that the peer has shown.
	HandleForward(from, boot uint64, payload []byte)
	HandleSignal(from uint64, payload []byte)
	// HandleSnapshot reads the snapshot from r. Its error goes to the sender.
	HandleSnapshot(from uint64, header []byte, sizeBytes int64, r io.Reader) error

	// HandleForwardRestored reports that the forward stream to a peer was connected.
	// Whatever was sent on it before may be lost.
	HandleForwardRestored(peer uint64)
	// HandleExcluded reports that a peer knows that this node must not take part any more:
	// by an *OutdatedError that its data folder is a copy, by a *RemovedError that it is no
	// member, by a *LaterError that its program is too old. The node must stop.
	HandleExcluded(err error)
	// HandleUnreachable reports that the append stream to a peer broke.
	HandleUnreachable(peer uint64)

	// Admits reports, by an error, that a folder may not be heard under a raft id, by the
	// members as they are now. A raft id that is not given out yet is admitted: it is
	// that of a later member. It must not block.
	Admits(raftID uint64, directory [16]byte) error
	// Settled reports whether a folder that is not admitted may be told so for good. Until
	// then others may need it. It must not block.
	Settled() bool
}

// Config of a Transport.
type Config struct {
	ServerID    int
	DirectoryID identity.DirectoryID
	Lineage     identity.Lineage
	Memory      Memory             // of what the peers have shown
	Secret      []byte             // that peers must know; empty: everybody does
	Optional    bool               // the secret: who has none is let in
	TLS         *TLS               // nil: connections are in the clear
	Handshakes  *handshake.Port    // bounds the processor time of those of TLS; nil: half of the processors
	Formed      bool               // the node is a member of a cluster, which Join will name
	Lost        []uint64           // clusters that were lost, and recovered as this node's
	LoneWait    time.Duration      // how long Form of a server that is listed alone waits to be looked for
	Constants   identity.Constants // see Hello
	Listen      string             // host:port
	AdminAddr   string             // see Hello
	Listener    net.Listener       // if set, used instead of Listen; it belongs to the Transport
	Servers     []identity.Member  // as listed, without directory ids
	Replaces    bool               // see Joiner
	Known       uint64             // the highest cluster version that the program knows; 0: 1

	// Admit has a folder that asks for it made a member. It returns nil if the folder is
	// one, a *RefusedError or another of this package's errors, or, if it may be asked
	// again, any other error.
	Admit  func(ctx context.Context, j Joiner) error
	Logger *slog.Logger
}

// Memory remembers what peers have shown. Any goroutine may call it.
type Memory interface {
	// Meet durably remembers the newest lineage of each folder. An
	// *identity.OutdatedError says that the folder was newer before.
	Meet(id identity.DirectoryID, l identity.Lineage) error

	// KeepRoster remembers a roster that is newer than the one before, soon. Its error
	// is that of an earlier attempt.
	KeepRoster(r *identity.Roster) error
}

// Transport is a node's connections to its peers.
type Transport struct {
	config   Config
	log      *slog.Logger
	listener net.Listener
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	handler  Handler // set by Join; until then only form streams are accepted
	refusals seldom.News[refusal]
	direct   atomic.Bool // see Direct

	handshakes handshakes

	mu          sync.Mutex
	self        Hello
	directories map[int]identity.DirectoryID // of unformed servers, as they were met where they are listed
	applied     *identity.Roster             // as this node has applied it; nil until Join
	roster      *identity.Roster             // the newest that is known
	senders     map[uint64]*senders
	accepted    map[acceptKey]acceptedConn
	open        map[net.Conn]bool
	heard       map[uint64]*atomic.Int64 // see heardOf
	shipping    map[uint64]bool          // a snapshot is being sent to this peer
	strangers   map[uint64]uint64        // the other cluster that is where a peer was
	claims      chan *ClaimedError       // of capacity 1; see claim
	admins      map[uint64]string        // admin addresses, as the peers have told them
}

type acceptKey struct {
	raftID uint64
	stream Stream
}

// acceptedConn is a connection that a peer has dialed.
type acceptedConn struct {
	net.Conn
	directory identity.DirectoryID // of the peer
}

// Listen starts to listen for peers. Until Join it only answers hellos.
func Listen(c Config) (*Transport, error) {
	t := newTransport(c)
	l := c.Listener
	if l == nil {
		var err error
		if l, err = net.Listen("tcp", c.Listen); err != nil {
			return nil, fmt.Errorf("listen for peers: %w", err)
		}
	}
	t.listener = l
	t.wg.Go(t.accept)
	return t, nil
}

// newTransport returns a transport that does not listen.
func newTransport(c Config) *Transport {
	ctx, cancel := context.WithCancel(context.Background())
	if c.Handshakes == nil {
		c.Handshakes = handshake.NewPort()
	}
	return &Transport{
		config: c, log: c.Logger, ctx: ctx, cancel: cancel,
		self: Hello{
			ServerID: c.ServerID, DirectoryID: c.DirectoryID, Lineage: c.Lineage, Guard: c.guard(), AdminAddr: c.AdminAddr, Versions: c.versions(),
			Constants: c.Constants, Members: slices.Clone(c.Servers), Replaces: c.Replaces, Lost: c.Lost,
		},
		directories: map[int]identity.DirectoryID{c.ServerID: c.DirectoryID},
		senders:     map[uint64]*senders{}, accepted: map[acceptKey]acceptedConn{},
		open: map[net.Conn]bool{}, shipping: map[uint64]bool{}, strangers: map[uint64]uint64{}, claims: make(chan *ClaimedError, 1), heard: map[uint64]*atomic.Int64{}, admins: map[uint64]string{},
	}
}

// versions is what the program can do.
func (c *Config) versions() Versions {
	v := ourVersions
	v.Known, v.Cluster = max(c.Known, formedVersion), formedVersion
	return v
}

// guard is what the configuration says of the secret.
func (c *Config) guard() Guard {
	switch {
	case len(c.Secret) == 0:
		return Open
	case c.Optional:
		return GuardOptional
	}
	return Guarded
}

// Addr is the address at which peers are listened for.
func (t *Transport) Addr() net.Addr { return t.listener.Addr() }

// Close closes all connections and waits for their goroutines.
func (t *Transport) Close() error {
	t.cancel()
	err := t.listener.Close()
	t.mu.Lock()
	for c := range t.open {
		_ = c.Close() // its reader or writer returns then
	}
	t.mu.Unlock()
	t.wg.Wait()
	return err
}

// Connected reports whether this node has a connection to a peer. If the peer has
// vanished silently, the connection fails after unackedTimeout if there was data to
// send, as there always is between a leader and its followers, and otherwise by
// TCP's keep-alive after about 15 seconds.
func (t *Transport) Connected(raftID uint64) bool {
	s := t.to(raftID)
	return s != nil && s.control.isConnected()
}

// Direct has small messages written by who sends them, at once, or again only after a while
// without any. Any goroutine may call it.
func (t *Transport) Direct(direct bool) {
	if t.direct.Load() != direct {
		t.direct.Store(direct)
	}
}

// Send sends a raft message, which must not be changed any more, and with it a number:
// which round of heartbeats of the message's term it is of, or acknowledges; 0: none.
func (t *Transport) Send(m *pb.Message, round uint64) bool {
	s := t.to(m.GetTo())
	switch {
	case s == nil:
		return false
	case m.GetType() == pb.MsgApp:
		return s.append.put(outgoing{message: m, round: round})
	default:
		return s.control.put(outgoing{message: m, round: round})
	}
}

// Forward sends sub-batches to the leader.
func (t *Transport) Forward(to uint64, payload []byte) bool {
	s := t.to(to)
	return s != nil && s.forward.put(outgoing{kind: kindForward, payload: payload})
}

// Signal sends a small message that is not raft's.
func (t *Transport) Signal(to uint64, payload []byte) bool {
	s := t.to(to)
	return s != nil && s.control.put(outgoing{kind: kindSignal, payload: payload})
}

// track registers a connection, so that Close closes it. It reports false if the
// transport is closed.
func (t *Transport) track(c net.Conn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ctx.Err() != nil {
		return false
	}
	t.open[c] = true
	return true
}

func (t *Transport) untrack(c net.Conn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, c)
	_ = c.Close() // it may be closed already
}

// dial connects to a server, or to anyServer, and exchanges hellos. It may return the
// peer's with an error, too.
func (t *Transport) dial(ctx context.Context, addr string, serverID int, s Stream) (net.Conn, *Hello, error) {
	conn, err := t.connectTo(ctx, addr)
	if err == nil && t.config.TLS != nil {
		conn, err = t.secure(ctx, conn, addr, serverID)
	}
	if err != nil {
		return nil, nil, t.doubt(ofTLS(err), false)
	}
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })() // the peer may be silent
	remote, err := t.greetOn(conn, s)
	if err != nil {
		return nil, remote, errors.Join(ofTLS(err), conn.Close())
	}
	return conn, remote, nil
}

// secure has a connection that was dialed in TLS. If it is optional, and the other side
// has none and never had, it connects again without.
func (t *Transport) secure(ctx context.Context, conn net.Conn, addr string, serverID int) (net.Conn, error) {
	spoken := &t.config.TLS.spoken
	before := spoken.by(serverID, addr)
	c, err := t.secureDialed(ctx, conn, serverID, t.config.TLS.Optional && !before)
	if err == nil {
		spoken.note(serverID, addr)
		return c, nil
	}
	_ = conn.Close() // the error says more
	switch {
	case !errors.Is(err, errNoTLS):
		return nil, err
	case t.config.TLS.Optional && before:
		return nil, byUs(refuse("%v, and has spoken it with this server before: if it is to do without again, restart this one", errNoTLS))
	case t.config.TLS.Optional:
		return t.connectTo(ctx, addr)
	}
	return nil, byUs(refuse("%v, which this server demands: give all servers certificates, or let this one do without for a while by \"peerTLS\": \"optional\"", errNoTLS))
}

// connectTo connects to an address, for a handshake.
func (t *Transport) connectTo(ctx context.Context, addr string) (net.Conn, error) {
	d := net.Dialer{Timeout: handshakeTimeout}
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(prepare(conn), conn.SetDeadline(time.Now().Add(handshakeTimeout))); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// prepare sets the options of a connection.
func prepare(conn net.Conn) error {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return err
	}
	err = tcp.SetNoDelay(true)
	controlErr := raw.Control(func(fd uintptr) {
		err = errors.Join(err, unix.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unackedTimeout.Milliseconds())))
	})
	return errors.Join(err, controlErr)
}

func address(m identity.Member) string { return net.JoinHostPort(m.Host, strconv.Itoa(m.LogPort)) }
