package spawn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"raftcached"
)

// spawnerVariable makes the test binary a server-spawner, as childVariable makes
// it one of its servers.
const spawnerVariable = "SPAWN_TEST_SPAWNER"

// failingID is the id of a server that fails when it is started.
const failingID = 9

// waitLimit is how long a test waits for what has to happen.
const waitLimit = 20 * time.Second

func TestMain(m *testing.M) {
	switch {
	case IsChild(os.Getenv):
		os.Exit(fakeServer(os.Args[1:]))
	case os.Getenv(spawnerVariable) != "":
		os.Exit(Main(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// fakeServer replaces a node: it listens on the ports of its entry in the config, and
// reports a leader. Server failingID fails at once and prints the reason to stderr,
// as serve.Main does.
func fakeServer(args []string) int {
	cluster, err := raftcached.ReadCluster(args[1])
	if err != nil {
		panic(err)
	}
	id, _ := strconv.Atoi(args[3])
	var self raftcached.Server
	for _, s := range cluster.Servers {
		if s.ID == id {
			self = s
		}
	}
	if self.ID == failingID {
		fmt.Fprintln(os.Stderr, "some line of the log")
		fmt.Fprintln(os.Stderr, "raftcached: open data folder: it belongs to another node")
		return 2
	}
	gone, err := SpawnerGone(os.Getenv)
	if err != nil {
		panic(err)
	}
	for _, addr := range []string{self.ClientAddr(), self.PeerAddr()} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			panic(err)
		}
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = io.WriteString(conn, "STAT raft_id 0\r\nSTAT raft_leader_id 0\r\nEND\r\nEND\r\n")
				_ = conn.Close()
			}
		}()
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	select {
	case <-gone:
	case <-stop:
	}
	return 0
}

// process is a server-spawner that a test started.
type process struct {
	cmd        *exec.Cmd
	lines      chan string // its stdout; closed at its end
	stderrFile string
}

func startSpawner(t *testing.T, config string) *process {
	t.Helper()
	p := &process{
		cmd:        exec.Command(os.Args[0], "-config", config),
		lines:      make(chan string, 100),
		stderrFile: filepath.Join(t.TempDir(), "stderr"),
	}
	stderr, err := os.Create(p.stderrFile)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = stderr.Close() }() // the process has its own descriptor
	p.cmd.Env = append(os.Environ(), spawnerVariable+"=1")
	p.cmd.Stderr = stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			p.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	return p
}

// stderr returns what the spawner has written to it.
func (p *process) stderr() string {
	text, err := os.ReadFile(p.stderrFile)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// awaitLine returns the first line that matches, and its groups.
func (p *process) awaitLine(t *testing.T, pattern string) []string {
	t.Helper()
	re := regexp.MustCompile("^" + pattern + "$")
	deadline := time.After(waitLimit)
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				t.Fatalf("stdout ended before a line %q; stderr: %s", pattern, p.stderr())
			}
			if groups := re.FindStringSubmatch(line); groups != nil {
				return groups
			}
		case <-deadline:
			t.Fatalf("no line %q within %v", pattern, waitLimit)
		}
	}
}

// awaitExit returns the exit code of the spawner.
func (p *process) awaitExit(t *testing.T) int {
	t.Helper()
	deadline := time.After(waitLimit)
	for {
		select {
		case _, ok := <-p.lines:
			if ok {
				continue
			}
			_ = p.cmd.Wait() // the exit code is what counts
			return p.cmd.ProcessState.ExitCode()
		case <-deadline:
			t.Fatalf("spawner still runs after %v", waitLimit)
		}
	}
}

// writeCluster writes a config of servers on a loopback address of their own.
func writeCluster(t *testing.T, ids ...int) string {
	t.Helper()
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	var entries []string
	for _, id := range ids {
		entries = append(entries, fmt.Sprintf(`{"id": %d, "host": %q, "clientPort": %d, "logPort": %d}`,
			id, host, 11211+id, 11311+id))
	}
	file := filepath.Join(t.TempDir(), "server.json")
	text := `{"path": "data", "servers": [` + strings.Join(entries, ",") + `]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// startThree starts a spawner of three servers and returns their process ids
// once it is ready.
func startThree(t *testing.T) (p *process, config string, pids []int) {
	t.Helper()
	config = writeCluster(t, 0, 1, 2)
	p = startSpawner(t, config)
	for id := range 3 {
		groups := p.awaitLine(t, fmt.Sprintf(`server %d pid (\d+) client 127\.[0-9.]+:\d+ peer 127\.[0-9.]+:\d+`, id))
		pid, _ := strconv.Atoi(groups[1])
		pids = append(pids, pid)
	}
	p.awaitLine(t, "cluster ready")
	return p, config, pids
}

// isRunning reports whether a process exists and is not a zombie: nobody may
// reap the children of a killed spawner.
func isRunning(pid int) bool {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(stat), ") ")
	return !strings.HasPrefix(rest, "Z")
}

func awaitGone(t *testing.T, pids []int) {
	t.Helper()
	deadline := time.After(waitLimit)
	for _, pid := range pids {
		for isRunning(pid) {
			select {
			case <-time.After(5 * time.Millisecond):
			case <-deadline:
				t.Fatalf("server with pid %d still runs after %v", pid, waitLimit)
			}
		}
	}
}

// TestSignalsStopAll: SIGINT and SIGTERM end the servers and then the spawner.
func TestSignalsStopAll(t *testing.T) {
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		t.Run(sig.String(), func(t *testing.T) {
			if signal.Ignored(sig) {
				t.Skip("this process ignores the signal, as nohup has it, and so do those that it starts")
			}
			p, _, pids := startThree(t)
			if err := p.cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if code := p.awaitExit(t); code != 0 {
				t.Errorf("exit code %d, want 0; stderr: %s", code, p.stderr())
			}
			for _, pid := range pids {
				if isRunning(pid) {
					t.Errorf("server with pid %d outlives the spawner", pid)
				}
			}
		})
	}
}

// TestKilledSpawnerTakesServersAlong: no server outlives a spawner that could not
// stop it, not even a server that is stopped itself and cannot read the pipe.
func TestKilledSpawnerTakesServersAlong(t *testing.T) {
	p, config, pids := startThree(t)
	if err := syscall.Kill(pids[1], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	p.awaitExit(t)
	awaitGone(t, pids)

	// Neither the lock nor a port is still taken.
	startSpawner(t, config).awaitLine(t, "cluster ready")
}

// TestPipeAloneStopsServer: the end of the pipe stops a server, without a
// parent-death signal.
func TestPipeAloneStopsServer(t *testing.T) {
	config := writeCluster(t, 0)
	lifeline, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-config", config, "-id", "0")
	cmd.Env = append(os.Environ(), childVariable+"=3")
	cmd.ExtraFiles = []*os.File{lifeline}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := hold.Close(); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("server ends with %v, want exit code 0", err)
	}
}

// TestServerExitIsReported: the other servers keep running, and the report says how
// to start the server again.
func TestServerExitIsReported(t *testing.T) {
	p, config, pids := startThree(t)
	if err := syscall.Kill(pids[1], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	p.awaitLine(t, `server 1 exited: signal 9 \(killed\)`)
	p.awaitLine(t, "start it again with: raftcached -config "+regexp.QuoteMeta(config)+" -id 1")
	if !isRunning(pids[0]) || !isRunning(pids[2]) {
		t.Error("another server ended too")
	}
}

// TestExitReasonIsTheLastLogLine also checks that the spawner ends when no server is
// left.
func TestExitReasonIsTheLastLogLine(t *testing.T) {
	p := startSpawner(t, writeCluster(t, failingID))
	p.awaitLine(t, "server 9 exited: exit code 2: open data folder: it belongs to another node")
	if code := p.awaitExit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	if got := p.stderr(); got != "server-spawner: all servers have exited: their logs say why\n" {
		t.Errorf("stderr is %q", got)
	}
}

// TestSecondSpawner: a second spawner reports in one sentence what prevents it, and
// does not disturb the first one.
func TestSecondSpawner(t *testing.T) {
	first, config, pids := startThree(t)
	second := startSpawner(t, config)
	if code := second.awaitExit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	want := fmt.Sprintf("server-spawner: data folder %q is in use by the server-spawner with pid %d: stop that one, or name another config\n",
		filepath.Join(filepath.Dir(config), "data"), first.cmd.Process.Pid)
	if got := second.stderr(); got != want {
		t.Errorf("stderr is\n  %swant\n  %s", got, want)
	}

	// The same ports, other data.
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	other := filepath.Join(t.TempDir(), "server.json")
	if err := os.WriteFile(other, text, 0o600); err != nil {
		t.Fatal(err)
	}
	third := startSpawner(t, other)
	if code := third.awaitExit(t); code != 1 {
		t.Errorf("exit code %d, want 1", code)
	}
	pattern := `^server-spawner: clientPort 127\.[0-9.]+:\d+ of server 0 is in use: stop the program that has it, or change clientPort in the config\n$`
	if got := third.stderr(); !regexp.MustCompile(pattern).MatchString(got) {
		t.Errorf("stderr is %q", got)
	}
	for _, pid := range pids {
		if !isRunning(pid) {
			t.Errorf("server with pid %d of the first spawner is gone", pid)
		}
	}
}

func TestWrongArguments(t *testing.T) {
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"-x"}, 64, "server-spawner: unknown flag -x: run it with -h to see the flags\n"},
		{[]string{"server.json"}, 64, "server-spawner: unexpected argument \"server.json\": name the config with -config\n"},
		{[]string{"-config", "/none.json"}, 78, "server-spawner: config \"/none.json\" does not exist: name a server.json with -config\n"},
	} {
		var stdout, stderr bytes.Buffer
		code := Main(c.args, &stdout, &stderr)
		if code != c.code || stderr.String() != c.want || stdout.Len() != 0 {
			t.Errorf("%q: exit code %d, stderr %q; want %d, %q", c.args, code, &stderr, c.code, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for _, flag := range []string{"-V", "-version", "--version"} {
		var stdout, stderr bytes.Buffer
		want := "server-spawner " + raftcached.Version + "\n"
		if code := Main([]string{flag}, &stdout, &stderr); code != 0 || stdout.String() != want || stderr.Len() != 0 {
			t.Errorf("%s: exit code %d, %q, %q; want 0 and %q", flag, code, &stdout, &stderr, want)
		}
	}
}
