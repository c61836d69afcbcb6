package integration

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// README.md, "Room": what a process takes besides the items and what its clients leave
// unfinished or unread, in bytes.
const (
	processBytesMax = 130 << 20
	stalledBytesMax = 170 << 20 // when a disk has stood still and it catches up
)

// unreadBytesMax is what an answer may take that a client does not read, of each connection
// (docs/limits.md), with an item of the default size.
const unreadBytesMax = 1<<20 + 256<<10 + 1<<20

// itemsBytesMax is what the items of a server and all that belongs to them may take, by its
// memory limit.
func itemsBytesMax(ctx context.Context, t *testing.T, s *cluster.Server) int64 {
	t.Helper()
	settings, err := cluster.Stats(ctx, s.ClientAddr, "settings")
	must(t, err)
	limit, err := strconv.ParseInt(settings["maxbytes"], 10, 64)
	must(t, err)
	return limit * 115 / 100
}

// wantBound fails if a server has taken more memory than README.md allows: other bytes
// besides its items, and half as much again as its clients leave with it, for the garbage
// collector.
func wantBound(ctx context.Context, t *testing.T, c *cluster.Cluster, other, clients int64) {
	t.Helper()
	if len(buildFlags) > 0 {
		return // the race detector has memory of its own
	}
	var peaks []int64
	for _, s := range c.Servers {
		most, allowed := peakBytes(t, s), itemsBytesMax(ctx, t, s)+other+clients*3/2
		if most > allowed {
			t.Errorf("server %d has taken %d MiB, at most %d are allowed", s.ID, most>>20, allowed>>20)
		}
		peaks = append(peaks, most>>20)
	}
	t.Logf("at most %d MiB taken", peaks)
}

// hoarder is a client that has a server keep what it sends, or is sent.
type hoarder struct {
	name   string
	sends  string
	answer int64 // bytes that it takes of the answer
	half   bool  // it ends its requests
	bytes  int64 // that the server may keep for it
}

func hoarders() []hoarder {
	const lineBytes = 1_000_000
	return []hoarder{
		{name: "unfinished lines (J)", sends: "get " + strings.Repeat(strings.Repeat("k", 200)+" ", lineBytes/201), bytes: lineBytes},
		{name: "lines of many keys", sends: "get" + strings.Repeat(" a", lineBytes/2) + "\r\n", answer: int64(len("END\r\n")), bytes: lineBytes},
		{name: "unfinished values", sends: "set a 0 0 " + strconv.Itoa(lineBytes) + "\r\n" + strings.Repeat("v", lineBytes), bytes: lineBytes},
		{name: "a large request, and small ones", sends: "set a 0 0 1000000\r\n" + strings.Repeat("v", lineBytes) + "\r\nget b\r\nge", answer: int64(len("STORED\r\nEND\r\n"))},
		{name: "gets", sends: strings.Repeat("get d\r\n", 20), bytes: unreadBytesMax},
		{name: "gets, half closed (K)", sends: strings.Repeat("get d\r\n", 20), half: true, bytes: unreadBytesMax},
		{name: "gats (Q)", sends: strings.Repeat("gat 0 d\r\n", 100), bytes: unreadBytesMax},
		{name: "gat of many keys (Q)", sends: "gat 0" + strings.Repeat(" d", 100) + "\r\n", bytes: unreadBytesMax},
		{name: "mg with T (Q)", sends: strings.Repeat("mg d v T0\r\n", 100), bytes: unreadBytesMax},
	}
}

// TestClientsThatHoard: no server takes more memory than README.md says, whatever many
// clients leave unfinished or unread; and it comes back when they have gone.
func TestClientsThatHoard(t *testing.T) {
	takesLong(t)
	t.Parallel()
	if underRace {
		t.Skip("the race detector has memory of its own")
	}
	const (
		conns      = 60
		returned   = 48 << 20         // may stay of what clients took that have gone
		returnTime = 45 * time.Second // three times as long as README.md says: the machine is busy
	)
	for name, servers := range map[string]int{"alone": 1, "cluster": 3} {
		t.Run(name, func(t *testing.T) {
			ctx, c := startCluster(t, cluster.Options{Servers: servers})
			s := c.Servers[servers-1]
			must(t, clientOf(t, s).Set(&memcache.Item{Key: "d", Value: []byte(strings.Repeat("v", 1_000_000))}))
			before, _ := resident(t, s)
			for _, h := range hoarders() {
				t.Run(h.name, func(t *testing.T) {
					forgetMost(t, s)
					read := bytesRead(ctx, t, s)
					var open []net.Conn
					for range conns {
						open = append(open, h.begin(t, s))
					}
					must(t, cluster.Await(ctx, func() error {
						if now := bytesRead(ctx, t, s); now < read+conns*int64(len(h.sends)) {
							return fmt.Errorf("%d bytes are read", now-read)
						}
						return nil
					}))
					awaitSteady(ctx, t, s)
					wantBound(ctx, t, c, processBytesMax, conns*h.bytes)
					for _, conn := range open {
						must(t, conn.Close())
					}
				})
			}
			limited, cancel := context.WithTimeout(ctx, returnTime)
			defer cancel()
			must(t, cluster.Await(limited, func() error {
				if now, _ := resident(t, s); now > before+returned {
					return fmt.Errorf("%d MiB are not given back", (now-before)>>20)
				}
				return nil
			}))
		})
	}
}

// begin sends what the client sends, and takes what it takes.
func (h *hoarder) begin(t *testing.T, s *cluster.Server) net.Conn {
	t.Helper()
	conn := dialServer(t, s)
	_, err := io.WriteString(conn, h.sends)
	must(t, err)
	_, err = io.CopyN(io.Discard, conn, h.answer)
	must(t, err)
	if tcp, ok := conn.(*net.TCPConn); ok && h.half {
		must(t, tcp.CloseWrite())
	}
	return conn
}

func bytesRead(ctx context.Context, t *testing.T, s *cluster.Server) int64 {
	t.Helper()
	stats, err := cluster.Stats(ctx, s.ClientAddr, "")
	must(t, err)
	n, err := strconv.ParseInt(stats["bytes_read"], 10, 64)
	must(t, err)
	return n
}

// awaitSteady waits until a server's memory has not grown for a while.
func awaitSteady(ctx context.Context, t *testing.T, s *cluster.Server) {
	t.Helper()
	const looksWanted = 10
	var before int64
	looks := 0
	must(t, cluster.Await(ctx, func() error {
		if most := peakBytes(t, s); most != before {
			before, looks = most, 0
		}
		if looks++; looks < looksWanted {
			return errors.New("its memory grows")
		}
		return nil
	}))
}
