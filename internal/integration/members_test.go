package integration

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// joinCommand returns what raftcachectl says is to be started on a new machine.
func joinCommand(t *testing.T, c *cluster.Cluster, output string) []string {
	t.Helper()
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) > 0 && fields[0] == "raftcached" {
			return strings.Fields(strings.ReplaceAll(line, "server.json", c.Config))[1:]
		}
	}
	t.Fatalf("nothing is said to be started:\n%s", output)
	return nil
}

// startMachine starts a server on a new machine, which has no server.json: its folder is
// empty, and it ends with the test.
func startMachine(t *testing.T, command []string, adminAddr string) *cluster.Process {
	t.Helper()
	dir := t.TempDir()
	p, err := cluster.StartProcess(filepath.Join(dir, "log"), nil, executable, append(command, "-data", filepath.Join(dir, "data"), "-admin-listen", adminAddr)...)
	must(t, err)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		must(t, p.End(ctx, syscall.SIGKILL))
		if t.Failed() {
			text, _ := os.ReadFile(filepath.Join(dir, "log"))
			t.Logf("%v logged:\n%s", command, text)
		}
	})
	return p
}

// background runs a command that waits until something was started elsewhere.
type background struct {
	mu   sync.Mutex
	text bytes.Buffer
	cmd  *exec.Cmd
	done chan error
}

// Write implements io.Writer.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *background) output() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// begin runs a command in a folder, and returns when it has said what is to be started.
func begin(ctx context.Context, t *testing.T, cmd *exec.Cmd) *background {
	t.Helper()
	b := &background{cmd: cmd, done: make(chan error, 1)}
	cmd.Stdout, cmd.Stderr = b, b
	must(t, cmd.Start())
	go func() { b.done <- cmd.Wait() }()
	must(t, cluster.Await(ctx, func() error {
		if !strings.Contains(b.output(), "\n       raftcached ") {
			return fmt.Errorf("%v says %s", cmd.Args, b.output())
		}
		return nil
	}))
	return b
}

// end waits until it has ended, and returns its output.
func (b *background) end(t *testing.T) string {
	t.Helper()
	if err := <-b.done; err != nil {
		t.Errorf("%v: %v\n%s", b.cmd.Args, err, b.output())
	}
	return b.output()
}

// machines are those on which docs/operate.md starts servers.
type machines struct {
	t       *testing.T
	c       *cluster.Cluster
	host    string
	waiting *background // a command that waits for a server
}

func newMachines(t *testing.T, c *cluster.Cluster) *machines {
	host, _, err := net.SplitHostPort(c.Servers[0].ClientAddr)
	must(t, err)
	return &machines{t: t, c: c, host: host}
}

// at returns the flags that put a server where no other one is.
func (m *machines) at(id int) string {
	return fmt.Sprintf("--host %s --port %d --log-port %d", m.host, 21211+id, 21311+id)
}

// isListed reports whether the server.json has a server, which is shown to be started by it.
func (m *machines) isListed(id string) bool { return id < "3" }

// run runs a command of an operator. One that says what is to be started waits until
// that is; and before a server is replaced, its machine dies.
func (m *machines) run(ctx context.Context, command string, cmd *exec.Cmd) (output []byte, err error) {
	switch {
	case strings.HasPrefix(command, "raftcached "):
		join := joinCommand(m.t, m.c, m.waiting.output())
		id := strings.Fields(command)[2]
		if want := "-id " + id + " -data DIR -join "; !strings.HasPrefix(strings.Join(join, " "), want) && !m.isListed(id) {
			m.t.Errorf("to be started is %q, docs/operate.md shows %q", join, command)
		}
		admin := map[string]string{"1": m.c.Servers[1].AdminAddr, "3": net.JoinHostPort(m.host, "21414"), "4": net.JoinHostPort(m.host, "21415")}
		startMachine(m.t, join, admin[id])
		m.waiting.end(m.t)
		return nil, nil
	case strings.Contains(command, "member replace"):
		must(m.t, m.c.Servers[1].Kill())
		must(m.t, os.RemoveAll(m.c.Servers[1].DataDir))
		fallthrough
	case strings.Contains(command, "member add"):
		m.waiting = begin(ctx, m.t, cmd)
		return []byte(m.waiting.output()), nil
	}
	return cmd.CombinedOutput()
}

// TestMembersByCommands: leadership is moved to a server and away; a machine that is gone
// for good is replaced, a server is added and removed, each by the commands that
// raftcachectl names. Nothing is lost.
func TestMembersByCommands(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	awaitExit(ctx, t, ctl, 0, "status")
	clients := clientsOf(t, c)
	converse(t, c.Servers[0].ClientAddr, "set before 0 0 1\r\nx\r\nquit\r\n")

	// Leadership moves to each server.
	for _, s := range c.Servers {
		if out := awaitExit(ctx, t, ctl, 0, "member", "transfer", fmt.Sprint(s.ID)); out != fmt.Sprintf("server %d leads\n", s.ID) {
			t.Fatalf("member transfer %d says %q", s.ID, out)
		}
	}
	awaitExit(ctx, t, ctl, 0, "member", "transfer")

	// Server 1 is alive: it is not given up without a word. Then its machine dies.
	must(t, cluster.Await(ctx, func() error {
		if code, _, stderr := ctl("member", "replace", "1"); code != 1 || !strings.Contains(stderr, "say --yes if that is meant") {
			return fmt.Errorf("member replace of a server that is alive: exit code %d, %s", code, stderr)
		}
		return nil
	}))
	must(t, c.Servers[1].Kill())
	must(t, os.RemoveAll(c.Servers[1].DataDir))
	out := awaitExit(ctx, t, ctl, 0, "member", "replace", "1", "--yes", "--no-wait")
	for _, want := range []string{" 1/4 majority (0, 2) agrees  ok\n", " is retired  ok  it can never vote again\n"} {
		if !strings.Contains(out, want) {
			t.Errorf("member replace lacks %q:\n%s", want, out)
		}
	}
	awaitOutput(ctx, t, ctl, 1, []string{"DEGRADED: one more loss stops it", "awaited"}, "status")
	startMachine(t, joinCommand(t, c, out), c.Servers[1].AdminAddr)
	awaitOutput(ctx, t, ctl, 0, []string{"OK: one loss is survived"}, "status")
	wantEverywhere(t, clients, "before", "x")

	// A fourth comes in, while the command waits, and goes.
	host, _, err := net.SplitHostPort(c.Servers[0].ClientAddr)
	must(t, err)
	program, err := buildCtl()
	must(t, err)
	add := exec.CommandContext(ctx, program, "member", "add", "3", "--host", host, "--port", "21211", "--log-port", "21311")
	add.Dir = filepath.Dir(c.Config)
	adding := begin(ctx, t, add)
	fourth := startMachine(t, joinCommand(t, c, adding.output()), net.JoinHostPort(host, "21411"))
	if out := adding.end(t); !strings.Contains(out, " 3/4 it has joined  ok\n 4/4 it votes  ok  ") {
		t.Errorf("member add says\n%s", out)
	}
	must(t, cluster.Await(ctx, func() error { // the server that is asked may not have heard of it
		if code, out, stderr := ctl("member", "list"); code != 0 || strings.Count(out, " yes ") != 4 {
			return fmt.Errorf("member list of four: exit code %d\n%s%s", code, out, stderr)
		}
		return nil
	}))
	awaitExit(ctx, t, ctl, 0, "verify")
	awaitExit(ctx, t, ctl, 0, "member", "remove", "3", "--yes")
	select {
	case <-fourth.Done():
	case <-ctx.Done():
		t.Fatal("a server that was removed does not stop")
	}
	awaitOutput(ctx, t, ctl, 0, []string{"3 servers · OK: one loss is survived"}, "status")
	wantEverywhere(t, clients, "before", "x")
}
