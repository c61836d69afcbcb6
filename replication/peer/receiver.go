package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"slices"
	"strconv"
	"time"

	"raftcached/internal/seldom"
	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// readBufferBytes is the read buffer of a connection.
const readBufferBytes = 64 << 10

// allowed are the types of raft messages that a peer may send. Not among them are
// local types, proposals, transfers of leadership, and MsgSnap, which is sent with
// its file.
var allowed = []pb.MessageType{
	pb.MsgApp, pb.MsgAppResp, pb.MsgVote, pb.MsgVoteResp, pb.MsgHeartbeat, pb.MsgHeartbeatResp,
	pb.MsgReadIndex, pb.MsgReadIndexResp, pb.MsgTimeoutNow, pb.MsgPreVote, pb.MsgPreVoteResp,
}

// accept accepts connections until the listener is closed.
func (t *Transport) accept() {
	a := seldom.Acceptor{Listener: t.listener, Stop: t.ctx.Done(), Logger: t.log}
	for conn := a.Accept(); conn != nil; conn = a.Accept() {
		if !t.track(conn) {
			_ = conn.Close()
			return
		}
		t.wg.Go(func() {
			defer t.untrack(conn)
			if err := t.serve(conn); err != nil && t.ctx.Err() == nil && !errors.Is(err, io.EOF) && !errors.Is(err, net.ErrClosed) {
				t.logEnd(conn, err)
			}
		})
	}
}

// serve handles a connection that a peer dialed.
func (t *Transport) serve(conn net.Conn) error {
	conn, remote, err := t.shake(conn)
	if err == nil && remote.Stream == StreamJoin {
		err = t.admit(conn, &remote)
	}
	if kindOfRefusal(err) != kindRefusal || errors.As(err, new(*RefusedError)) {
		t.logRefusal(conn, &remote, err)
		return nil
	}
	if err != nil || remote.Stream == StreamForm || remote.Stream == StreamJoin {
		return err
	}
	if err := conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	defer t.carry(conn, remote.ServerID, remote.Stream)()
	t.noteAdmin(&remote)
	t.replace(acceptKey{remote.RaftID, remote.Stream}, acceptedConn{conn, remote.DirectoryID})
	in := bufio.NewReaderSize(conn, readBufferBytes)
	if remote.Stream == StreamSnapshot {
		return t.receiveSnapshot(remote.RaftID, conn, in)
	}
	return t.receive(&remote, in)
}

// shake shakes hands on a connection that was accepted, and returns who has dialed it,
// and the connection to go on with.
func (t *Transport) shake(conn net.Conn) (net.Conn, Hello, error) {
	shaking := t.config.Handshakes.Conn(conn)
	if t.handshakes.begin(shaking) {
		t.logStranger(conn, fmt.Errorf("more than %d connections are in their handshake: the one that has taken longest was closed", handshakesMax))
	}
	defer t.handshakes.end(shaking)
	nobody := Hello{ServerID: anyServer}
	if err := errors.Join(prepare(conn), conn.SetDeadline(time.Now().Add(handshakeTimeout))); err != nil {
		return conn, nobody, err
	}
	c, err := t.secureAccepted(shaking)
	if err != nil {
		return conn, nobody, err
	}
	remote, err := t.answer(c)
	switch {
	case errors.Is(err, errSpeaksTLS):
		return c, nobody, t.refuseTLS(c)
	case err != nil:
		err = explained(err)
	}
	return c, remote, err
}

// refusal is one of a server, to be told seldom: who is refused comes again many times a second.
// It may call itself any server.
type refusal struct {
	serverID int
	reason   string
}

// logStranger logs what somebody did who has not said which server it is.
func (t *Transport) logStranger(conn net.Conn, reason error) {
	t.logRefusal(conn, &Hello{ServerID: anyServer}, reason)
}

// logDoubtful logs why a server that is asked is none as far as this node can tell, or takes this
// node for none, though another one may not: the node goes on asking. What was said a short time
// ago is no news.
func (t *Transport) logDoubtful(serverID int, addr string, s Stream, err error) {
	refused, is := errors.AsType[*RefusedError](err)
	if !is || refused.Passes {
		return
	}
	times, news := t.refusals.Tell(refusal{serverID, addr + refused.Sentence}, time.Now())
	if !news {
		return
	}
	attributes := []any{"at", addr, "stream", s.String(), "reason", refused.Sentence}
	if serverID != anyServer {
		attributes = append([]any{"server", serverID}, attributes...)
	}
	if times > 1 {
		attributes = append(attributes, "times", times)
	}
	t.log.Warn(refused.headline(), attributes...)
}

// logEnd logs that a connection of a peer ended by an error. If a frame was damaged, the network
// or a machine is not sound, which each connection that is opened again may show.
func (t *Transport) logEnd(conn net.Conn, err error) {
	level, remote := slog.LevelDebug, conn.RemoteAddr().String()
	attributes := []any{"remote", remote, "err", err}
	if errors.Is(err, errDamaged) {
		host, _, _ := net.SplitHostPort(remote) // of what the system says, which it can be split
		if times, news := t.refusals.Tell(refusal{anyServer, host + " " + errDamaged.Error()}, time.Now()); news {
			level = slog.LevelWarn
			if times > 1 {
				attributes = append(attributes, "times", times)
			}
		}
	}
	t.log.Log(t.ctx, level, "connection of a peer ended", attributes...)
}

// logRefusal logs that a peer was refused. What passes by itself is no news, and what was
// said a short time ago.
func (t *Transport) logRefusal(conn net.Conn, remote *Hello, reason error) {
	var refused *RefusedError
	level := slog.LevelWarn
	if errors.As(reason, &refused) && refused.Passes {
		level = slog.LevelDebug
	} else if times, news := t.refusals.Tell(refusal{remote.ServerID, reason.Error()}, time.Now()); !news {
		level = slog.LevelDebug
	} else if times > 1 {
		t.log.Warn("refused a peer again", "server", serverText(remote), "times", times, "reason", reason)
		return
	}
	t.log.Log(t.ctx, level, "refused a peer", "server", serverText(remote), "remote", conn.RemoteAddr().String(), "reason", reason)
}

// serverText is which server a peer says that it is.
func serverText(remote *Hello) string {
	if remote.ServerID == anyServer {
		return "unknown"
	}
	return strconv.Itoa(remote.ServerID)
}

// replace closes the previous connection of this peer and stream. A peer that was
// admitted before, and is not any more, has come too late.
func (t *Transport) replace(k acceptKey, conn acceptedConn) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old, ok := t.accepted[k]; ok {
		_ = old.Close()
	}
	if t.handler.Admits(k.raftID, conn.directory) != nil {
		_ = conn.Close()
		return
	}
	t.accepted[k] = conn
}

// receive passes the frames of a control, append or forward stream to the handler. The
// first of them carries a heartbeat every few ticks, and tells when the peer was heard.
func (t *Transport) receive(remote *Hello, in *bufio.Reader) error {
	from, boot := remote.RaftID, remote.Lineage.Boot
	heard := t.heardOf(from)
	t.mu.Lock()
	self := t.self.RaftID
	t.mu.Unlock()
	var buf []byte
	for {
		b, err := readSealed(in, buf, frameBytesMax)
		if err != nil {
			return err
		}
		if cap(b) <= readBufferBytes {
			buf = b
		}
		if remote.Stream == StreamControl {
			heard.Store(time.Now().UnixNano())
		}
		r := frame.NewReader(b)
		kind, err := readKind(&r)
		if err != nil {
			return err
		}
		payload, err := r.Bytes(frameBytesMax)
		if err != nil {
			return fmt.Errorf("read payload: %w", err)
		}
		switch kind {
		case kindRaft:
			m, err := decodeMessage(payload, from, self)
			if err != nil {
				return err
			}
			round, err := r.Uint64()
			if err != nil {
				return fmt.Errorf("read round: %w", err)
			}
			t.handler.HandleRaft(from, m, round)
		case kindForward:
			t.handler.HandleForward(from, boot, slices.Clone(payload))
		case kindSignal:
			t.handler.HandleSignal(from, slices.Clone(payload))
		default:
			return fmt.Errorf("frame of kind %d on this stream: %w", kind, errMalformed)
		}
	}
}

// decodeMessage decodes a raft message from a peer to this node.
func decodeMessage(b []byte, from, self uint64) (*pb.Message, error) {
	m := new(pb.Message)
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("decode message: %w", err)
	}
	if m.GetFrom() != from || m.GetTo() != self || !slices.Contains(allowed, m.GetType()) {
		return nil, fmt.Errorf("message %v from %d to %d on a connection from %d to %d: %w",
			m.GetType(), m.GetFrom(), m.GetTo(), from, self, errMalformed)
	}
	return m, nil
}
