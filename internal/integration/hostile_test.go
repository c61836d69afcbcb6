package integration

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// annoyReadMax is how long a client waits for an answer that may never come.
const annoyReadMax = 10 * time.Millisecond

// hostilePieces are requests that no client should send, and incomplete valid ones.
func hostilePieces() []string {
	packet := make([]byte, 24+8+1)
	packet[0], packet[1], packet[3], packet[4] = 0x80, 0x01, 1, 8
	binary.BigEndian.PutUint32(packet[8:], 1<<19) // a body that is never sent
	return []string{
		"set hostile 0 0 100000\r\nxx", "ms hostile 100000 T1\r\nxx", "set hostile 0 0 2147483645\r\nxx", string(packet),
		"get" + strings.Repeat(" k", 5000), strings.Repeat("x", 3000), "\x80\x80\x80", "\x00\xff\r\n\x80", "mg k v\r\nset k 0 0 5\r\nquit\r\n\r\n",
		"ms k 2 MA q\r\nxy\r\nms k S2 c\r\nxy\r\nmg k N1 R1 T1 v t\r\nma k N0\r\nmd k I x q\r\n",
		strings.Repeat("ms k 1 q\r\nx\r\nmg k v\r\n", 2000), strings.Repeat("get k\r\n", 3000) + "quit\r\n",
	}
}

// TestHostileClients: while many clients send such pieces to every server and drop
// their connections at any point, each server keeps serving a well-behaved client,
// and in the end all servers have the same state.
func TestHostileClients(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	stop, stopped := make(chan struct{}), make(chan int)
	for i, s := range c.Servers {
		go func() {
			random := rand.New(rand.NewPCG(seed, uint64(i)))
			pieces := hostilePieces()
			sent := 0
			for ; ; sent++ {
				select {
				case <-stop:
					stopped <- sent
					return
				default:
					annoy(s.ClientAddr, pieces[random.IntN(len(pieces))], random)
				}
			}
		}()
	}
	clients := clientsOf(t, c)
	for i := range 300 {
		key, value := fmt.Sprint("key", i%10), fmt.Sprint(i)
		must(t, clients[i%3].Set(&memcache.Item{Key: key, Value: []byte(value)}))
		wantEverywhere(t, clients, key, value)
	}
	close(stop)
	for range c.Servers {
		if sent := <-stopped; sent == 0 {
			t.Error("a server was not annoyed at all")
		}
	}
	must(t, c.AwaitReady(ctx))
	must(t, c.AwaitEqual(ctx))
}

// annoy sends a part of a text, may read a little, and disconnects, half of the time
// with a reset.
func annoy(addr, text string, random *rand.Rand) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	if random.IntN(4) > 0 {
		text = text[:random.IntN(len(text)+1)]
	}
	_, _ = io.WriteString(conn, text) // the server may have closed the connection
	if random.IntN(2) == 0 {
		_ = conn.SetReadDeadline(time.Now().Add(annoyReadMax))
		_, _ = conn.Read(make([]byte, 1+random.IntN(100)))
	}
	if tcp, ok := conn.(*net.TCPConn); ok && random.IntN(2) == 0 {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}
