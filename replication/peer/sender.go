package peer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
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
	// writeBytesTarget is about how much of the queue one write sends.
	writeBytesTarget = 1 << 20

	// writeTimeout is how long a write may block before the connection is closed.
	writeTimeout = 5 * time.Second

	// itemOverheadBytes is what a queued message counts in addition to its bytes.
	itemOverheadBytes = 128

	// directBytesMax is how large a message may be to be written by who sends it.
	directBytesMax = 16 << 10

	// directAfter is how long a stream has been quiet before a message is written by who
	// sends it. Messages that follow each other sooner leave together, at less cost.
	directAfter = time.Millisecond
)

// outgoing is a raft message and its round, or a payload and its kind, or the rest of
// frames that are written in part.
type outgoing struct {
	message *pb.Message
	round   uint64
	kind    uint64
	payload []byte
	rest    []byte
	bytes   int
}

// sender keeps one stream to one peer connected and writes messages to it. A small one after
// a while without any, as a heartbeat, is written by the goroutine that sends it, as far as
// the socket has room: waking another up costs more than the write. All else is queued for
// a goroutine that may wait.
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
	last      time.Time // when the last message was sent
	writing   bool      // somebody writes: the queue waits for that
	direct    *direct   // of the connection
}

func newSender(ctx context.Context, t *Transport, m identity.Member, s Stream, bytesMax int) *sender {
	return &sender{t: t, ctx: ctx, peer: m, stream: s, bytesMax: bytesMax, wake: make(chan struct{}, 1), since: time.Now()}
}

// put sends a message. It never waits: if the stream is down or full it drops the message
// and reports false.
func (s *sender) put(o outgoing) bool {
	now := time.Now()
	o.bytes = itemOverheadBytes + len(o.payload)
	if o.message != nil {
		o.bytes += proto.Size(o.message)
	}
	s.mu.Lock()
	quiet := now.Sub(s.last) >= directAfter || s.t.direct.Load()
	s.last = now
	if d := s.direct; quiet && d != nil && !s.writing && len(s.queue) == 0 && o.bytes <= directBytesMax {
		s.writing = true
		s.mu.Unlock()
		s.wrote(d, d.write(&o))
		return true
	}
	ok := s.connected && (s.bytes+o.bytes <= s.bytesMax || len(s.queue) == 0)
	wake := ok && !s.writing
	if ok {
		s.queue = append(s.queue, o)
		s.bytes += o.bytes
	}
	s.mu.Unlock()
	if wake {
		s.call()
	}
	return ok
}

// wrote takes what is left of a message that was written directly, which goes before what
// was queued meanwhile.
func (s *sender) wrote(d *direct, rest []byte) {
	s.mu.Lock()
	s.writing = false
	if len(rest) > 0 && s.direct == d {
		s.queue = slices.Insert(s.queue, 0, outgoing{rest: rest, bytes: len(rest)})
		s.bytes += len(rest)
	}
	wake := len(s.queue) > 0
	s.mu.Unlock()
	if wake {
		s.call()
	}
}

// call has the sender's goroutine look at the queue.
func (s *sender) call() {
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// take returns everything queued, which the caller is to write. spare, of which nothing is
// left, becomes the next queue's memory. Nothing is returned while somebody writes, who
// will call, and when nothing is left.
func (s *sender) take(spare []outgoing) []outgoing {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing || len(s.queue) == 0 {
		return spare[:0]
	}
	items := s.queue
	s.queue, s.bytes, s.writing = spare[:0], 0, true
	return items
}

// connect has messages written to a connection.
func (s *sender) connect(conn net.Conn) {
	d := newDirect(conn)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected, s.direct = true, d
	s.reset()
}

// disconnect has messages dropped.
func (s *sender) disconnect() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.connected, s.direct = false, nil
	s.reset()
}

// reset drops what is queued. It is called with mu held.
func (s *sender) reset() {
	s.since = time.Now()
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
	var wait redial
	said := ""
	for s.ctx.Err() == nil {
		conn, remote, err := s.t.dial(s.ctx, address(s.peer), s.peer.ServerID, s.stream)
		if err == nil && remote.RaftID != s.peer.RaftID {
			err = errors.Join(fmt.Errorf("at %s is member %d, not %d", address(s.peer), remote.RaftID, s.peer.RaftID), conn.Close())
		}
		if err == nil {
			said = ""
			s.t.noteAdmin(remote)
			connected := time.Now()
			err = s.serve(conn)
			wait.ended(time.Since(connected))
		}
		s.failed(err)
		var (
			refused  *RefusedError
			outdated *OutdatedError
			removed  *RemovedError
		)
		excluded := errors.As(err, &outdated) || errors.As(err, &removed) || errors.As(err, new(*LaterError))
		if !excluded && remote != nil && s.stream == StreamControl && (remote.proved || s.t.believesAll()) {
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
			s.t.log.Log(s.ctx, level, refused.headline(), "server", s.peer.ServerID, "stream", s.stream.String(), "reason", said)
		}
		select {
		case <-s.ctx.Done():
		case <-time.After(wait.next()):
		}
	}
}

// serve writes to a connection until it fails.
func (s *sender) serve(conn net.Conn) error {
	if !s.t.track(conn) {
		return conn.Close()
	}
	defer s.t.untrack(conn)
	defer s.t.carry(conn, s.peer.ServerID, s.stream)()
	s.connect(conn)
	defer s.disconnect()
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

// write writes what is queued until the connection fails.
func (s *sender) write(ctx context.Context, conn net.Conn) error {
	var items []outgoing
	var buf []byte
	for {
		if items = s.take(items); len(items) == 0 {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-s.wake:
			}
			continue
		}
		var err error
		buf, err = writeAll(conn, items, buf)
		s.release()
		if err != nil {
			return err
		}
	}
}

// release lets others write.
func (s *sender) release() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writing = false
}

// writeAll writes messages and clears them: their entries may be let go. buf is memory for
// their frames, which it returns.
func writeAll(conn net.Conn, items []outgoing, buf []byte) ([]byte, error) {
	var err error
	for n := 0; n < len(items); {
		buf = buf[:0]
		for n < len(items) && len(buf) < writeBytesTarget {
			if buf, err = items[n].append(buf); err != nil {
				return buf, err
			}
			items[n] = outgoing{}
			n++
		}
		if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
			return buf, err
		}
		if _, err := conn.Write(buf); err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// append appends a message as it is sent.
func (o *outgoing) append(dst []byte) ([]byte, error) {
	switch {
	case o.rest != nil:
		return append(dst, o.rest...), nil
	case o.message != nil:
		return appendMessage(dst, o.message, o.round)
	default:
		return appendPayload(dst, o.kind, o.payload), nil
	}
}
