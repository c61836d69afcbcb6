package integration

import (
	"fmt"
	"io"
	"net"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// resident returns the resident memory of a server in bytes, and what it was at most
// since its maximum was forgotten.
func resident(t *testing.T, s *cluster.Server) (now, most int64) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Process().Pid()))
	must(t, err)
	for name, value := range map[string]*int64{"VmRSS": &now, "VmHWM": &most} {
		m := regexp.MustCompile(name + `:\s+(\d+) kB`).FindSubmatch(status)
		if m == nil {
			t.Fatalf("no %s in %q", name, status)
		}
		kB, err := strconv.ParseInt(string(m[1]), 10, 64)
		must(t, err)
		*value = kB << 10
	}
	return now, most
}

// peakBytes is the most memory that a server's process has taken.
func peakBytes(t *testing.T, s *cluster.Server) int64 {
	t.Helper()
	_, most := resident(t, s)
	return most
}

// forgetMost makes the maximum of a server's resident memory what it is now.
func forgetMost(t *testing.T, s *cluster.Server) {
	t.Helper()
	must(t, os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", s.Process().Pid()), []byte("5"), 0))
}

// dialServer connects to a server's clients' port until the test ends.
func dialServer(t *testing.T, s *cluster.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.ClientAddr)
	must(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// TestAnswersTakeBoundedMemory: a few bytes of requests ask for hundreds of MB. Their
// answers are made as the client takes them, by a lone server and by a follower, whichever
// command asks for them, and all come.
func TestAnswersTakeBoundedMemory(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("the race detector has memory of its own")
	}
	const times, mostBytes = 120, 60 << 20
	value := strings.Repeat("v", 1_000_000)
	for name, servers := range map[string]int{"alone": 1, "cluster": 3} {
		t.Run(name, func(t *testing.T) {
			_, c := startCluster(t, cluster.Options{Servers: servers})
			s := c.Servers[servers-1]
			must(t, clientsOf(t, c)[0].Set(&memcache.Item{Key: "d", Value: []byte(value)}))
			all := []string{strings.Repeat("gat 0 d\r\n", times), "gat 0" + strings.Repeat(" d", times) + "\r\n", strings.Repeat("mg d T0 v\r\n", times)}
			for _, requests := range all[:4-servers] {
				conn := dialServer(t, s)
				forgetMost(t, s)
				before, _ := resident(t, s)
				_, err := io.WriteString(conn, requests+"quit\r\n")
				must(t, err)
				got, err := io.Copy(io.Discard, conn)
				must(t, err)
				if want := int64(times * len(value)); got < want || got > want+times*50 {
					t.Errorf("%.10q: %d bytes came, want %d", requests, got, want)
				}
				if most := peakBytes(t, s); most > before+mostBytes {
					t.Errorf("%.10q: %d MiB, and %d at most", requests, before>>20, most>>20)
				}
			}
		})
	}
}

// TestUnfinishedLinesTakeTheirMemory, not a multiple of it, and it comes back when their
// clients have gone.
func TestUnfinishedLinesTakeTheirMemory(t *testing.T) {
	t.Parallel()
	if underRace {
		t.Skip("the race detector has memory of its own")
	}
	const conns, lineBytes, slack = 100, 1_000_000, 40 << 20
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	s := c.Servers[0]
	line := "get " + strings.Repeat(strings.Repeat("k", 200)+" ", lineBytes/201)
	before, _ := resident(t, s)
	var open []net.Conn
	for range conns {
		conn := dialServer(t, s)
		_, err := io.WriteString(conn, line)
		must(t, err)
		open = append(open, conn)
	}
	must(t, cluster.Await(ctx, func() error {
		if now, _ := resident(t, s); now < before+conns*lineBytes*9/10 {
			return fmt.Errorf("%d MiB after %d", now>>20, before>>20)
		}
		return nil
	}))
	if most := peakBytes(t, s); most > before+conns*lineBytes*3/2+slack {
		t.Errorf("%d MiB at most for %d MB of lines, after %d", most>>20, conns*lineBytes/1_000_000, before>>20)
	}
	for _, conn := range open {
		must(t, conn.Close())
	}
	must(t, cluster.Await(ctx, func() error {
		if now, _ := resident(t, s); now > before+slack {
			return fmt.Errorf("%d MiB are not given back", (now-before)>>20)
		}
		return nil
	}))
}
