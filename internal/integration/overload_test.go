package integration

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

const (
	floodConns = 60
	floodTime  = 8 * time.Second

	// burners is how many programs want each processor besides the servers.
	burners = 10
)

// burn keeps the processors busy until the context ends.
func burn(ctx context.Context, t *testing.T) {
	t.Helper()
	for range burners * runtime.NumCPU() {
		must(t, exec.CommandContext(ctx, "sh", "-c", "while :; do :; done").Start())
	}
}

// flood is what came of writes that were sent as fast as a server took them.
type flood struct {
	mu      sync.Mutex
	answers map[string]int // by their lines
}

// send sends sets to a server until the context ends, and counts the answers.
func (f *flood) send(ctx context.Context, addr string, number int) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // nothing is expected any more
	var batch bytes.Buffer
	for i := range 100 {
		fmt.Fprintf(&batch, "set flood-%d-%d 0 0 100\r\n%s\r\n", number, i, strings.Repeat("v", 100))
	}
	go func() {
		for ctx.Err() == nil {
			if _, err := conn.Write(batch.Bytes()); err != nil {
				return // the connection was closed
			}
		}
	}()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })()
	counts := map[string]int{}
	for lines := bufio.NewScanner(conn); lines.Scan(); {
		counts[lines.Text()]++
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for line, n := range counts {
		f.answers[line] += n
	}
	return nil
}

// TestOverload (case M): slow servers get many times as many writes as they can do. They do as
// many as they can, and each in time: what would not be is not begun. Nothing that was
// begun is given up, and the leader goes on leading. Afterwards a write is answered at once.
func TestOverload(t *testing.T) {
	if testing.Short() {
		t.Skip("measures: not in a short run")
	}
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"electionTicks": 50}})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	before, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
	must(t, err)

	flooding, end := context.WithTimeout(ctx, floodTime)
	defer end()
	var wait sync.WaitGroup
	burn(flooding, t)
	f := flood{answers: map[string]int{}}
	for i := range floodConns {
		wait.Go(func() {
			if err := f.send(flooding, c.Servers[i%len(c.Servers)].ClientAddr, i); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	wantBound(ctx, t, c, processBytesMax, 0)

	stored := f.answers["STORED"]
	t.Logf("%d stored in %v", stored, floodTime)
	delete(f.answers, "STORED")
	delete(f.answers, "SERVER_ERROR too many writes wait, try again later")
	if stored < 1000 || len(f.answers) > 0 {
		t.Errorf("%d stored, and %v", stored, maps.Clone(f.answers))
	}
	w := cluster.NewWriter([]string{leader.ClientAddr}, 0)
	defer w.Close()
	began := time.Now()
	must(t, w.Set("after", "v"))
	if took := time.Since(began); took > 10*time.Second {
		t.Errorf("the first write afterwards takes %v", took)
	}
	after, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
	must(t, err)
	if after.Term != before.Term {
		t.Errorf("the term was %d and is %d", before.Term, after.Term)
	}
}
