package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strconv"
	"sync/atomic"
	"testing"
)

// nameServer answers every question for an address with one that the test chooses.
type nameServer struct {
	conn net.PacketConn
	addr atomic.Pointer[net.IP]
}

// serveNames has names resolved by a server of the test's until it ends.
func serveNames(t *testing.T) *nameServer {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	s := &nameServer{conn: conn}
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.serve()
	}()
	t.Cleanup(func() {
		net.DefaultResolver = before
		must(t, conn.Close())
		<-done
	})
	return s
}

func (s *nameServer) set(host string) { ip := net.ParseIP(host).To4(); s.addr.Store(&ip) }

// serve answers questions, RFC 1035, section 4.1.
func (s *nameServer) serve() {
	const headerBytes, typeA = 12, 1
	b := make([]byte, 512)
	for {
		n, from, err := s.conn.ReadFrom(b)
		if err != nil {
			return
		}
		end := headerBytes
		for end < n && b[end] != 0 { // labels
			end += 1 + int(b[end])
		}
		end += 5 // the last label, type and class
		if end > n {
			continue
		}
		answer := append([]byte{}, b[:end]...)
		copy(answer[2:headerBytes], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}) // a response with one question
		if binary.BigEndian.Uint16(b[end-4:]) == typeA {
			answer[7] = 1                                                                                // and one answer:
			answer = append(answer, 0xc0, headerBytes, 0, typeA, 0, 1, 0, 0, 0x0e, 0x10, 0, net.IPv4len) // for an hour
			answer = append(answer, *s.addr.Load()...)
		}
		_, _ = s.conn.WriteTo(answer, from)
	}
}

// TestNamesAreResolvedAnew: a server that comes back at another address, which its name
// then has, is found there by one that was running all the time.
func TestNamesAreResolvedAnew(t *testing.T) {
	names := serveNames(t)
	loopback := func() string { return fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254)) }
	first, second := loopback(), loopback()
	list := members(2)
	list[1].Host = "pod-1.cache.test."
	at := func(host string) func(*Config) {
		return func(c *Config) { c.Listen = net.JoinHostPort(host, strconv.Itoa(list[1].LogPort)) }
	}
	names.set(first)
	a, b := listen(t, list, 0, nil), listen(t, list, 1, at(first))
	cluster := formAll(t, a, b)
	eventually(t, func() bool { return a.Connected(2) })
	must(t, b.Close())
	eventually(t, func() bool { return !a.Connected(2) })
	names.set(second)
	b = listen(t, list, 1, func(c *Config) { at(second)(c); c.Lineage = lineage(1, 2) })
	b.take(cluster)
	eventually(t, func() bool { return a.Connected(2) && b.Connected(1) })
}
