package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

var buildCtl = sync.OnceValues(func() (string, error) {
	return cluster.Build(context.Background(), filepath.Dir(executable), "./cmd/raftcachectl")
})

// ctlOf returns a function that runs raftcachectl for a cluster. It returns the exit
// code and what was written.
func ctlOf(ctx context.Context, t *testing.T, c *cluster.Cluster) func(args ...string) (code int, stdout, stderr string) {
	t.Helper()
	program, err := buildCtl()
	must(t, err)
	return func(args ...string) (int, string, string) {
		t.Helper()
		cmd := exec.CommandContext(ctx, program, args...)
		cmd.Dir = filepath.Dir(c.Config)
		var stdout, stderr bytes.Buffer
		cmd.Stdout, cmd.Stderr = &stdout, &stderr
		err := cmd.Run()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		return cmd.ProcessState.ExitCode(), stdout.String(), stderr.String()
	}
}

// awaitExit runs a command until it ends with a code, and returns its output.
func awaitExit(ctx context.Context, t *testing.T, ctl func(...string) (int, string, string), want int, args ...string) string {
	t.Helper()
	var out string
	must(t, cluster.Await(ctx, func() error {
		code, stdout, stderr := ctl(args...)
		out = stdout
		if code != want {
			return fmt.Errorf("exit code %d, want %d:\n%s%s", code, want, stdout, stderr)
		}
		return nil
	}))
	return out
}

// awaitOutput runs a command until it ends with a code, and its output has all texts.
func awaitOutput(ctx context.Context, t *testing.T, ctl func(...string) (int, string, string), code int, texts []string, args ...string) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		got, stdout, stderr := ctl(args...)
		for _, text := range texts {
			if got != code || !strings.Contains(stdout, text) {
				return fmt.Errorf("%v: exit code %d, want %d and %q:\n%s%s", args, got, code, text, stdout, stderr)
			}
		}
		return nil
	}))
}

// probe asks an admin port and returns the code and the body, 0 if there is none.
func probe(s *cluster.Server, path string) (code int, body string) {
	client := http.Client{Timeout: clientTimeout}
	resp, err := client.Get("http://" + s.AdminAddr + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(text)
}

// awaitProbe waits until a probe has a code and a text in its answer.
func awaitProbe(ctx context.Context, s *cluster.Server, path string, code int, text string) error {
	return cluster.Await(ctx, func() error {
		if got, body := probe(s, path); got != code || !strings.Contains(body, text) {
			return fmt.Errorf("%s of server %d: %d %q, want %d and %q", path, s.ID, got, body, code, text)
		}
		return nil
	})
}

// TestStatusThroughLosses: what raftcachectl status and readyz say of three servers,
// of two, of one, and of three again.
func TestStatusThroughLosses(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	awaitOutput(ctx, t, ctl, 0, []string{"3 servers · OK: one loss is survived\n", " LEADER ", " follower ", " ok ", "/64M"}, "status")
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	followers := followersOf(c, leader)
	lost := []*cluster.Server{leader, followers[0]}
	left := followers[1]

	must(t, leader.Kill())
	must(t, c.AwaitServing(ctx, followers[0].ID, left.ID))
	awaitOutput(ctx, t, ctl, 1, []string{
		"DEGRADED: one more loss stops it", "UNREACHABLE", fmt.Sprintf("! server %d: lost at ", leader.ID), "(connection refused)",
		fmt.Sprintf("raftcached -config server.json -id %d", leader.ID),
	}, "status", "-server", left.AdminAddr) // any one is enough
	must(t, awaitProbe(ctx, left, "/readyz", 200, "ok"))

	must(t, followers[0].Kill())
	awaitOutput(ctx, t, ctl, 2, []string{"NO MAJORITY: 2 of 3 servers must serve", "UNREACHABLE"}, "status")
	must(t, awaitProbe(ctx, left, "/readyz", 503, "no majority: it cannot reach the servers "))
	must(t, awaitProbe(ctx, left, "/livez", 200, "ok"))

	for _, s := range lost {
		must(t, s.Start())
	}
	out := awaitExit(ctx, t, ctl, 0, "status", "-o", "json")
	type server struct {
		State    string
		Answered bool
	}
	var view struct {
		Verdict string
		Servers []server
	}
	must(t, json.Unmarshal([]byte(out), &view))
	well := server{"ok", true}
	if view.Verdict != "ok" || !slices.Equal(view.Servers, []server{well, well, well}) {
		t.Errorf("status -o json is\n%s", out)
	}
}

// TestStatusOfAPausedServer: a server that hangs does not make the tool hang, and is
// not well although the others are connected to it.
func TestStatusOfAPausedServer(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	paused := followersOf(c, leader)[0]
	must(t, paused.Pause())
	begin := time.Now()
	out := awaitExit(ctx, t, ctl, 1, "status")
	if !strings.Contains(out, "NO ANSWER") && !strings.Contains(out, "UNREACHABLE") {
		t.Errorf("status of a paused server is\n%s", out)
	}
	if took := time.Since(begin); took > time.Minute {
		t.Errorf("it took %v", took)
	}
	must(t, paused.Resume())
	awaitExit(ctx, t, ctl, 0, "status")
}

// TestReadyWhileDraining: a server that was told to stop, and still has to answer, is
// alive but not ready.
func TestReadyWhileDraining(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"requestTimeoutMs": testLimit.Milliseconds()}})
	s := c.Servers[0]
	for _, other := range c.Servers[1:] {
		must(t, other.Kill())
	}
	client := testclient.Dial(t, s.ClientAddr)
	client.Send("set k 0 0 1", "x") // it waits for a majority
	must(t, awaitProbe(ctx, s, "/readyz", 503, "no majority"))
	must(t, s.Process().Signal(syscall.SIGTERM))
	must(t, awaitProbe(ctx, s, "/readyz", 503, "stopping: "))
	if code, body := probe(s, "/livez"); code != 200 {
		t.Errorf("while it stops /livez says %d %q", code, body)
	}
	select {
	case <-s.Process().Done():
	case <-ctx.Done():
		t.Fatal("it does not stop")
	}
}

// TestVerifyUnderLoad: the states of all servers are compared at one index while
// they change.
func TestVerifyUnderLoad(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for i, s := range c.Servers {
		client := clientOf(t, s)
		writers.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				if err := client.Set(&memcache.Item{Key: fmt.Sprint("k", i, "-", n%1000), Value: []byte("x")}); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	out := awaitExit(ctx, t, ctl, 0, "verify")
	close(stop)
	writers.Wait()
	if !strings.Contains(out, "EQUAL: all servers hold the same items") {
		t.Errorf("verify says\n%s", out)
	}
	must(t, c.Servers[2].Kill())
	awaitOutput(ctx, t, ctl, 1, []string{"EQUAL as far as compared: server 2 did not answer"}, "verify")
}

// TestOperate runs every command of docs/operate.md. The addresses there are those of
// an example.
func TestOperate(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the commands of a document: not in a short run")
	}
	t.Parallel()
	needProgram(t, "curl", "curl")
	cluster.NeedMemcached(t)
	ctx, c := startCluster(t, cluster.Options{})
	awaitExit(ctx, t, ctlOf(ctx, t, c), 0, "status")
	m, err := cluster.StartMemcached(ctx, t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	converse(t, m.Addr, "set moved 5 100 1\r\nx\r\nset stays 0 0 1\r\ny\r\nquit\r\n")

	_, fresh := startCluster(t, cluster.Options{Servers: 1})
	text, err := os.ReadFile("../../docs/operate.md")
	must(t, err)
	machines := newMachines(t, c)
	addresses := strings.NewReplacer(
		"127.0.0.1:11411", c.Servers[0].AdminAddr, "10.0.0.9:11211", m.Addr, "10.0.1.1:11411", fresh.Servers[0].AdminAddr,
		"/var/lib/raftcached", c.Servers[2].DataDir,
		"--host 10.0.0.4", machines.at(3), "--host 10.0.0.5", machines.at(4), "--host 10.0.0.6", "--host "+machines.host, "--host 10.0.0.7", "--host "+machines.host,
	)
	_, rest := walkOf(t, string(text))
	lines := strings.Split(rest, "\n")
	commands := 0
	for i, line := range lines {
		switch line {
		case "## Look inside": // of a server that is stopped
			wantEverywhere(t, clientsOf(t, c), "moved", "x")
			wantEverywhere(t, clientsOf(t, c), "stays", "y")
			for _, s := range c.Servers {
				must(t, s.Kill())
			}
		case "## The worst day":
			must(t, os.RemoveAll(c.Servers[0].DataDir))
			must(t, os.RemoveAll(c.Servers[1].DataDir))
		}
		command, isCommand := strings.CutPrefix(line, "    $ ")
		if !isCommand {
			continue
		}
		commands++
		line := addresses.Replace(command)
		if strings.Contains(command, "raftcachectl recover") {
			line += " --yes" // there is no terminal
		}
		cmd := exec.CommandContext(ctx, "sh", "-ec", line)
		cmd.Dir = filepath.Dir(c.Config)
		cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(executable)+":"+os.Getenv("PATH"))
		output, err := machines.run(ctx, command, cmd)
		if err != nil {
			t.Errorf("%s: %v\n%s", command, err, output)
		}
		if shown, isOutput := strings.CutPrefix(lines[i+1], "    "); isOutput && !strings.HasPrefix(shown, "$ ") {
			want, _, _ := strings.Cut(strings.TrimSpace(shown), " ")
			if got, _, _ := strings.Cut(strings.TrimSpace(string(output)), " "); got != want {
				t.Errorf("%s begins with %q, docs/operate.md shows %q", command, got, want)
			}
		}
	}
	if commands < 8 {
		t.Errorf("docs/operate.md has %d commands", commands)
	}
	must(t, c.Servers[2].Start())
	must(t, c.Servers[2].AwaitReady(ctx))
	wantEverywhere(t, []*memcache.Client{clientOf(t, c.Servers[2])}, "stays", "y")
}
