package integration

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// writers write keys of their own through all servers until they are stopped.
type writers struct {
	stored  atomic.Int64
	longest atomic.Int64 // ns that a write has waited
	stop    atomic.Bool
	wait    sync.WaitGroup

	mu      sync.Mutex
	last    map[string]string // the last value of each key
	retried int
	lost    []error // writes whose second attempt failed
}

func startWriters(t *testing.T, c *cluster.Cluster, perServer int) *writers {
	t.Helper()
	ws := &writers{last: map[string]string{}}
	for i := range perServer * len(c.Servers) {
		w := cluster.NewWriter(c.ClientAddrs(), i%len(c.Servers))
		ws.wait.Go(func() { ws.run(w, fmt.Sprintf("writer-%d", i)) })
	}
	t.Cleanup(ws.finish)
	return ws
}

func (ws *writers) run(w *cluster.Writer, key string) {
	defer w.Close()
	var last string
	var lost []error
	for n := 0; !ws.stop.Load() && len(lost) < 10; n++ {
		begun := time.Now()
		value := strconv.Itoa(n)
		if err := w.Set(key, value); err != nil {
			lost = append(lost, err)
			continue
		}
		last = value
		ws.stored.Add(1)
		if d := int64(time.Since(begun)); d > ws.longest.Load() {
			ws.longest.Store(d)
		}
	}
	ws.mu.Lock()
	defer ws.mu.Unlock()
	ws.last[key], ws.retried, ws.lost = last, ws.retried+w.Retried, append(ws.lost, lost...)
}

// awaitProgress waits until n more writes are stored.
func (ws *writers) awaitProgress(t *testing.T, n int64) {
	t.Helper()
	want := ws.stored.Load() + n
	must(t, cluster.Await(t.Context(), func() error {
		if got := ws.stored.Load(); got < want {
			return fmt.Errorf("%d writes of %d stored", got, want)
		}
		return nil
	}))
}

func (ws *writers) finish() {
	ws.stop.Store(true)
	ws.wait.Wait()
}

// TestRollingRestart restarts all servers under load, one after the other, each as
// soon as the one before has caught up, and the leader of the time among them. No
// request is lost to a client that tries once more on another server.
func TestRollingRestart(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{})
	ws := startWriters(t, c, 2)
	for range 2 {
		for _, s := range c.Servers {
			ws.awaitProgress(t, 200)
			must(t, s.Stop(ctx))
			if code := s.Process().ExitCode(); code != 0 {
				t.Errorf("server %d ended with exit code %d, want 0", s.ID, code)
			}
			must(t, s.Start())
			must(t, s.AwaitReady(ctx)) // it has answered a linearizable read: it has caught up
		}
	}
	ws.awaitProgress(t, 200)
	ws.finish()
	for _, err := range ws.lost {
		t.Errorf("lost: %v", err)
	}
	t.Logf("%d writes, %d of them tried twice, the longest took %v", ws.stored.Load(), ws.retried, time.Duration(ws.longest.Load()))
	must(t, c.AwaitEqual(ctx))
	for key, want := range ws.last {
		wantEverywhere(t, clientsOf(t, c), key, want)
	}
}

// TestSecondSignal stops a leader whose peers are paused: it has nobody to hand over
// to, and a request that it cannot answer. A second SIGTERM ends it at once.
func TestSecondSignal(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{Args: []string{"-request-timeout", "1m"}})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	for _, s := range followersOf(c, leader) {
		must(t, s.Pause())
	}
	conn, err := net.Dial("tcp", leader.ClientAddr)
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	_, err = io.WriteString(conn, "set open 0 0 1\r\nx\r\n")
	must(t, err)

	must(t, leader.Process().Signal(syscall.SIGTERM))
	must(t, cluster.Await(ctx, func() error { // its first step
		other, err := net.Dial("tcp", leader.ClientAddr)
		if err != nil {
			return nil
		}
		return errors.Join(errors.New("it accepts clients"), other.Close())
	}))
	begun := time.Now()
	must(t, leader.Process().End(ctx, syscall.SIGTERM))
	if took := time.Since(begun); took > 3*time.Second || leader.Process().ExitCode() == 0 {
		t.Errorf("ended %v after the second signal, with exit code %d", took, leader.Process().ExitCode())
	}
}

// TestStalledDisk lets the leader's fdatasync hang. It hands leadership over, says
// so; through the others writes go on. When its disk works again it catches up.
func TestStalledDisk(t *testing.T) {
	strace := needProgram(t, "strace", "strace")
	ctx, c := startCluster(t, cluster.Options{})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	others := followersOf(c, leader)
	w := cluster.NewWriter([]string{others[0].ClientAddr, others[1].ClientAddr}, 0)
	defer w.Close()
	must(t, w.Set("k", "before"))

	// Each call hangs for a minute, or until strace ends.
	output := filepath.Join(t.TempDir(), "strace.log")
	tracer, err := cluster.StartProcess(output, nil, strace, "-f", "-e", "trace=fdatasync",
		"-e", "inject=fdatasync:delay_enter=60000000", "-p", strconv.Itoa(leader.Process().Pid()))
	must(t, err)
	defer func() { must(t, tracer.End(ctx, syscall.SIGKILL)) }()
	awaitTraced(t, tracer, output)

	written := 0
	must(t, cluster.Await(ctx, func() error {
		must(t, w.Set(fmt.Sprintf("key-%d", written), "x"))
		written++
		next, err := c.AwaitLeader(ctx)
		if err == nil && next == leader {
			err = fmt.Errorf("the server whose disk stands still leads, after %d writes", written)
		}
		return err
	}))
	text, err := os.ReadFile(leader.LogFile)
	must(t, err)
	if !strings.Contains(string(text), "the disk does not answer: handing leadership over") {
		t.Error("the server does not say that it hands over")
	}
	must(t, tracer.End(ctx, syscall.SIGKILL))
	must(t, c.AwaitReady(ctx))
	must(t, w.Set("k", "after"))
	must(t, c.AwaitEqual(ctx))
	wantEverywhere(t, clientsOf(t, c), "k", "after")
}

// awaitTraced waits until strace has attached. Where the system does not let it, the
// test is skipped.
func awaitTraced(t *testing.T, tracer *cluster.Process, output string) {
	t.Helper()
	must(t, cluster.Await(t.Context(), func() error {
		text, err := os.ReadFile(output)
		must(t, err)
		select {
		case <-tracer.Done():
			skip(t, "strace cannot attach: %s", text)
		default:
		}
		if !strings.Contains(string(text), "attached") {
			return fmt.Errorf("strace says %q", text)
		}
		return nil
	}))
}
