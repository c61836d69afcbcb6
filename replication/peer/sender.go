package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"raftcached/replication/identity"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// How much each stream queues before it drops messages.
const (
	controlBytesMax = 4 << 20
	appendBytesMax  = 64 << 20
	forwardBytesMax = 64 << 20
)

const (
	redialMin = 10 * time.Millisecond
	redialMax = 500 * time.Millisecond

	// writeBytesTarget is about how much of the queue one write sends.
	writeBytesTarget = 1 << 20

	// writeTimeout is how long a write may block before the connection is closed.
	writeTimeout = 5 * time.Second

	// itemOverheadBytes is what a queued message counts in addition to its bytes.
	itemOverheadBytes = 128
)

// outgoing is a raft message and its round, or a payload and its kind.
type outgoing struct {
	message *pb.Message
	round   uint64
	kind    uint64
	payload []byte
	bytes   int
}

// sender keeps one stream to one peer connected and writes queued messages to it.
type sender struct {
	t        *Transport
	ctx      context.Context // ends when the peer is not to be dialed any more
	peer     identity.Member
	stream   Stream
	bytesMax int
	wake     chan struct{} // capacity 1

	mu        sync.Mutex
	connected bool
	since     time.Time // when connected became what it is
	why       string    // of the last failure to connect, or of the end of a connection
	queue     []outgoing
	bytes     int
}

func newSender(ctx context.Context, t *Transport, m identity.Member, s Stream, bytesMax int) *sender {
	return &sender{t: t, ctx: ctx, peer: m, stream: s, bytesMax: bytesMax, wake: make(chan struct{}, 1), since: time.Now()}
}

// put queues a message. If the stream is down or full it drops the message and
// reports false.
func (s *sender) put(o outgoing) bool {
	o.bytes = itemOverheadBytes + len(o.payload)
	if o.message != nil {
		o.bytes += proto.Size(o.message)
	}
	s.mu.Lock()
	ok := s.connected && (s.bytes+o.bytes <= s.bytesMax || len(s.queue) == 0)
	if ok {
		s.queue = append(s.queue, o)
		s.bytes += o.bytes
	}
	s.mu.Unlock()
	if ok {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
	return ok
}

// take returns everything queued. spare, of which nothing is left, becomes the next
// queue's memory.
func (s *sender) take(spare []outgoing) []outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	items := s.queue
	s.queue, s.bytes = spare[:0], 0
	return items
}

func (s *sender) setConnected(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected, s.since = on, time.Now()
	s.queue, s.bytes = nil, 0
}

// failed notes why the peer is not connected.
func (s *sender) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.why = reason(err)
}

func (s *sender) isConnected() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.connected
}

// run keeps the stream connected until its context ends.
func (s *sender) run() {
	backoff := redialMin
	said := ""
	for s.ctx.Err() == nil {
		conn, remote, err := s.t.dial(s.ctx, address(s.peer), s.stream)
		if err == nil && remote.RaftID != s.peer.RaftID {
			err = errors.Join(fmt.Errorf("at %s is member %d, not %d", address(s.peer), remote.RaftID, s.peer.RaftID), conn.Close())
		}
		if err == nil {
			backoff, said = redialMin, ""
			s.t.noteAdmin(remote)
			err = s.serve(conn)
		}
		s.failed(err)
		var (
			refused  *RefusedError
			outdated *OutdatedError
			removed  *RemovedError
		)
		excluded := errors.As(err, &outdated) || errors.As(err, &removed)
		if !excluded && remote != nil && s.stream == StreamControl {
			if stranger := s.t.meetsStranger(s.peer.RaftID, remote); stranger != nil {
				excluded, err = true, stranger
			}
		}
		if excluded {
			s.t.handler.HandleExcluded(err)
			return
		}
		if errors.As(err, &refused) && said != refused.Sentence {
			said = refused.Sentence // log it once, not at each attempt
			level := slog.LevelWarn
			if refused.Passes {
				level = slog.LevelDebug
			}
			s.t.log.Log(s.ctx, level, "refused by a peer", "server", s.peer.ServerID, "stream", s.stream.String(), "reason", said)
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(backoff/2 + rand.N(backoff)):
		}
		backoff = min(2*backoff, redialMax)
	}
}

// serve writes to a connection until it fails.
func (s *sender) serve(conn net.Conn) error {
	if !s.t.track(conn) {
		return conn.Close()
	}
	defer s.t.untrack(conn)
	s.setConnected(true)
	defer s.setConnected(false)
	if s.stream == StreamForward {
		s.t.handler.HandleForwardRestored(s.peer.RaftID)
	}
	ctx, cancel := context.WithCancel(s.ctx)
	defer context.AfterFunc(s.ctx, func() { _ = conn.Close() })() // a write may be on its way
	// Nothing is received on this stream. A read returns when it is closed.
	s.t.wg.Go(func() {
		defer cancel()
		_, _ = conn.Read(make([]byte, 1))
	})
	err := s.write(ctx, conn)
	if s.stream == StreamAppend && s.t.ctx.Err() == nil {
		s.t.handler.HandleUnreachable(s.peer.RaftID)
	}
	return err
}

func (s *sender) write(ctx context.Context, conn net.Conn) error {
	var (
		items []outgoing
		buf   []byte
		err   error
	)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-s.wake:
		}
		items = s.take(items)
		for n := 0; n < len(items); {
			buf = buf[:0]
			for n < len(items) && len(buf) < writeBytesTarget {
				if buf, err = items[n].append(buf); err != nil {
					return err
				}
				items[n] = outgoing{} // its entries may be let go
				n++
			}
			if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
				return err
			}
			if _, err := conn.Write(buf); err != nil {
				return err
			}
		}
	}
}

func (o *outgoing) append(dst []byte) ([]byte, error) {
	if o.message != nil {
		return appendMessage(dst, o.message, o.round)
	}
	return appendPayload(dst, o.kind, o.payload), nil
}
