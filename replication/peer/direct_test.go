package peer

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"raftcached/replication/identity"
)

// pipe returns both ends of a TCP connection whose buffers are small.
func pipe(t *testing.T) (client, server net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	client, err = net.Dial("tcp", l.Addr().String())
	must(t, err)
	server, err = l.Accept()
	must(t, err)
	must(t, l.Close())
	must(t, client.(*net.TCPConn).SetWriteBuffer(64<<10))
	must(t, server.(*net.TCPConn).SetReadBuffer(64<<10))
	t.Cleanup(func() { _, _ = client.Close(), server.Close() })
	return client, server
}

// beQuiet has the next message find a stream that was quiet.
func (s *sender) beQuiet() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = time.Time{}
}

// Messages of all sizes, written by who sends them, in part, and from the queue, arrive
// whole and in their order, whether the peer reads fast or slowly.
func TestSentDirectlyAndFromTheQueue(t *testing.T) {
	conn, peer := pipe(t)
	tr := newTransport(Config{})
	s := newSender(t.Context(), tr, identity.Member{}, StreamControl, 8<<20)
	s.connect(conn)
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.write(ctx, conn) // it ends with the context
	}()

	const seed, n = 7, 20_000
	sizes, quiet := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 3))
	size := func(r *rand.Rand) int {
		if r.IntN(50) == 0 {
			return 8 + r.IntN(4*directBytesMax)
		}
		return 8 + r.IntN(200)
	}
	received := make(chan error, 1)
	go func() {
		sizes, slow := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
		var header [sealedHeaderBytes]byte
		for i := range uint64(n) {
			if slow.IntN(2000) == 0 {
				time.Sleep(5 * time.Millisecond) // the socket fills
			}
			if _, err := io.ReadFull(peer, header[:]); err != nil {
				received <- err
				return
			}
			b := make([]byte, binary.BigEndian.Uint32(header[:]))
			if _, err := io.ReadFull(peer, b); err != nil {
				received <- err
				return
			}
			want := binary.BigEndian.AppendUint64(nil, i)
			want = append(want, make([]byte, size(sizes)-8)...)
			if string(b) != string(appendContents(nil, kindSignal, want)) {
				t.Errorf("message %d is not what was sent", i)
				received <- nil
				return
			}
		}
		received <- nil
	}()
	for i := range uint64(n) {
		if quiet.IntN(2) == 0 {
			s.beQuiet()
		}
		p := binary.BigEndian.AppendUint64(nil, i)
		p = append(p, make([]byte, size(sizes)-8)...)
		eventually(t, func() bool { return s.put(outgoing{kind: kindSignal, payload: p}) })
	}
	must(t, <-received)
	cancel()
	<-ended
}

// A message for which the connection has failed closes it: its goroutines end.
func TestFailedDirectWriteCloses(t *testing.T) {
	conn, peer := pipe(t)
	must(t, peer.(*net.TCPConn).SetLinger(0))
	must(t, peer.Close())
	d := newDirect(conn)
	o := outgoing{kind: kindSignal, payload: []byte("x")}
	eventually(t, func() bool {
		d.write(&o)
		_, err := conn.Read(make([]byte, 1))
		return err != nil
	})
	if _, err := conn.Write([]byte("x")); err == nil {
		t.Fatal("the connection is open")
	}
}
