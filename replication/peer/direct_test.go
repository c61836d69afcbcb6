package peer

import (
	"context"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"sync"
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

// numbered is a message of some size that tells its number.
func numbered(i uint64, size int) outgoing {
	return outgoing{kind: kindSignal, payload: append(binary.BigEndian.AppendUint64(nil, i), make([]byte, size-8)...)}
}

// mixed are sizes of which a few are too large to be written directly.
func mixed(i uint64) int {
	if i%50 == 0 {
		return 8 + int(i*104729%(4*directBytesMax))
	}
	return 8 + int(i*7919%200)
}

// alike are sizes of which each is written directly, if there is room.
func alike(uint64) int { return 1000 }

// expect reads n messages, and fails unless they come whole and in their order.
func expect(t *testing.T, peer net.Conn, n uint64, size func(uint64) int) {
	t.Helper()
	for i := range n {
		var header [sealedHeaderBytes]byte
		_, err := io.ReadFull(peer, header[:])
		must(t, err)
		b := make([]byte, binary.BigEndian.Uint32(header[:]))
		_, err = io.ReadFull(peer, b)
		must(t, err)
		if string(b) != string(appendContents(nil, kindSignal, numbered(i, size(i)).payload)) {
			t.Fatalf("message %d is not what was sent", i)
		}
	}
}

// writing has a sender's goroutine write until the test ends.
func writing(t *testing.T, s *sender, conn net.Conn) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.write(ctx, conn) // it ends with the context
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
}

// Messages of all sizes, written by who sends them and from the queue, arrive whole and in
// their order.
func TestSentDirectlyAndFromTheQueue(t *testing.T) {
	conn, peer := pipe(t)
	s := newSender(t.Context(), newTransport(Config{}), identity.Member{}, StreamControl, 8<<20)
	s.connect(conn)
	writing(t, s, conn)
	const n = 20_000
	var wait sync.WaitGroup
	wait.Go(func() {
		quiet := rand.New(rand.NewPCG(7, 3))
		for i := range uint64(n) {
			if quiet.IntN(2) == 0 {
				s.beQuiet()
			}
			for o := numbered(i, mixed(i)); !s.put(o); {
				runtime.Gosched() // the queue is full: the peer reads
			}
		}
	})
	expect(t, peer, n, mixed)
	wait.Wait()
}

// What a socket has no room for goes before what is sent later.
func TestRestOfADirectWriteGoesFirst(t *testing.T) {
	conn, peer := pipe(t)
	s := newSender(t.Context(), newTransport(Config{}), identity.Member{}, StreamControl, 8<<20)
	s.connect(conn)
	n := uint64(0)
	for ; len(s.queue) == 0 && n < 100_000; n++ { // nobody reads, and no goroutine writes yet
		s.beQuiet()
		s.put(numbered(n, alike(n)))
	}
	if len(s.queue) == 0 || s.queue[0].rest == nil {
		t.Fatalf("what had no room is not kept, after %d messages", n)
	}
	for range 3 {
		s.beQuiet()
		s.put(numbered(n, alike(n)))
		n++
	}
	writing(t, s, conn)
	expect(t, peer, n, alike)
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

// TestDirect: with Direct small messages are written by who sends them, however soon they follow each
// other; without it they wait for the sender's goroutine, which there is none of here.
func TestDirect(t *testing.T) {
	conn, peer := pipe(t)
	tr := newTransport(Config{})
	s := newSender(t.Context(), tr, identity.Member{}, StreamControl, 8<<20)
	s.connect(conn)
	tr.Direct(true)
	for i := range uint64(20) {
		s.put(numbered(i, alike(i)))
	}
	expect(t, peer, 20, alike)
	tr.Direct(false)
	for i := uint64(20); len(s.queue) == 0; i++ { // soon one comes within directAfter of another
		if s.put(numbered(i, 8)); i == 1000 {
			t.Fatal("no message that follows another one waits")
		}
	}
}
