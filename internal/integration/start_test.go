package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestMemcachedsCommandLine: the flags of Debian's memcached.conf, in a container of
// Kubernetes, start a server. It writes its process id as memcached does, and the
// command shutdown stops it.
func TestMemcachedsCommandLine(t *testing.T) {
	t.Parallel()
	pidFile := filepath.Join(t.TempDir(), "memcached.pid")
	ctx, c := startCluster(t, cluster.Options{
		Servers:     1,
		Args:        []string{"-d", "-m", "64", "-u", "memcache", "-A", "-P", pidFile},
		Environment: []string{"RAFTCACHED_PORT=tcp://10.96.0.7:11211", "RAFTCACHED_SERVICE_HOST=10.96.0.7"},
	})
	s := c.Servers[0]
	must(t, cluster.Await(ctx, func() error {
		text, err := os.ReadFile(pidFile)
		if err == nil && strings.TrimSpace(string(text)) != strconv.Itoa(s.Process().Pid()) {
			err = fmt.Errorf("file of the process id has %q, want %d", text, s.Process().Pid())
		}
		return err
	}))
	for _, note := range []string{"-u is ignored: ", "-d is ignored: ", "RAFTCACHED_PORT, RAFTCACHED_SERVICE_HOST are ignored: "} {
		awaitLog(ctx, t, s, "raftcached: "+note)
	}
	_, _ = cluster.Ask(ctx, s.ClientAddr, "shutdown") // the connection ends without an answer
	select {
	case <-s.Process().Done():
	case <-ctx.Done():
		t.Fatal("the server runs after shutdown")
	}
	if code := s.Process().ExitCode(); code != 0 {
		t.Errorf("exit code after shutdown is %d, want 0", code)
	}
	if _, err := os.Stat(pidFile); !os.IsNotExist(err) {
		t.Errorf("file of the process id after the end: %v, want none", err)
	}
}

// TestClientsLeaveTheLogItsFiles: a server that may open too few files does not start,
// and says what to change. One that starts keeps those of its log, however many
// clients come.
func TestClientsLeaveTheLogItsFiles(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	start := func(args ...string) (*cluster.Process, string) {
		log := filepath.Join(t.TempDir(), "log")
		name, args := cluster.Limited("-n 200", executable, args...)
		p, err := cluster.StartProcess(log, nil, name, args...)
		must(t, err)
		return p, log
	}
	p, log := start("-p", "0", "-data", t.TempDir(), "-t", "2")
	select {
	case <-p.Done():
	case <-ctx.Done():
		t.Fatal("the server runs with too few files")
	}
	text, err := os.ReadFile(log)
	must(t, err)
	const want = "raftcached: open files: the limit is 200, needed are 1118: 1024 clients and 94 for the log and the rest: " +
		"raise LimitNOFILE or ulimit -n, or lower -c to 106\n"
	if !strings.HasSuffix(string(text), "\n"+want) || p.ExitCode() != 78 {
		t.Fatalf("exit code %d, want 78; the server says\n%swant\n%s", p.ExitCode(), text, want)
	}

	port := freePort(t)
	addr := net.JoinHostPort("127.0.0.1", port)
	p, log = start("-p", port, "-l", "127.0.0.1", "-data", t.TempDir(), "-t", "2", "-c", "106")
	must(t, cluster.Await(ctx, func() error { _, err := cluster.Ask(ctx, addr, "version"); return err }))
	client := memcache.New(addr)
	client.Timeout = clientTimeout
	value := bytes.Repeat([]byte("v"), 100_000)
	must(t, client.Set(&memcache.Item{Key: "first", Value: value})) // holds its connection
	for range 260 {
		idle, err := net.Dial("tcp", addr)
		must(t, err)
		defer func() { _ = idle.Close() }() // it did nothing
	}
	for i := range 200 { // several segments of the log
		must(t, client.Set(&memcache.Item{Key: fmt.Sprint("k", i), Value: value}))
	}
	must(t, errors.Join(client.Close(), p.End(ctx, syscall.SIGTERM)))
	if p.ExitCode() != 0 {
		text, err := os.ReadFile(log)
		t.Errorf("exit code %d, want 0; the server says %s (%v)", p.ExitCode(), text, err)
	}
}

// TestCheck: -check prints a line for each thing that a server needs, and its exit
// code tells whether it would start.
func TestCheck(t *testing.T) {
	busy, err := net.Listen("tcp", "127.0.0.1:0")
	must(t, err)
	defer func() { _ = busy.Close() }() // nobody connects
	for _, c := range []struct {
		name, limits, listen string
		code                 int
		want                 string
	}{
		{"well", "-n 4096", "127.0.0.1:" + freePort(t), 0, `^ ok ports 127\.0\.0\.1:\d+
 ok open files 1118: 1024 clients and 94 for the log and the rest
 ok disk .* free, needs about 1\.1 GiB
 ok fsync at most \d+\.\d ms
 ok clock not before the log's
$`},
		{"port in use", "-n 4096", busy.Addr().String(), 78, `(?m)^ !! port: .*address already in use: stop what uses it`},
		{"few files", "-n 200", "127.0.0.1:" + freePort(t), 78, `(?m)^ !! open files: the limit is 200, needed are 1118: `},
	} {
		t.Run(c.name, func(t *testing.T) {
			name, args := cluster.Limited(c.limits, executable, "-check", "-data", t.TempDir(), "-l", c.listen, "-t", "2")
			cmd := exec.CommandContext(t.Context(), name, args...)
			cmd.Env = os.Environ()
			text, err := cmd.CombinedOutput()
			if code := cmd.ProcessState.ExitCode(); code != c.code || !regexp.MustCompile(c.want).Match(text) {
				t.Errorf("exit code %d, want %d (%v); output is\n%s", code, c.code, err, text)
			}
		})
	}
}

// TestFreshLogIsSmall: a node that has stored nothing takes little room.
func TestFreshLogIsSmall(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	for range 2 {
		stats, err := cluster.Stats(ctx, c.Servers[0].ClientAddr, "raft")
		must(t, err)
		if n, err := strconv.Atoi(stats["log_disk_bytes"]); err != nil || n > 12<<20 {
			t.Errorf("the log takes %q bytes, %v; want at most 12 MiB", stats["log_disk_bytes"], err)
		}
		if n, err := strconv.Atoi(stats["disk_free_bytes"]); err != nil || n <= 0 {
			t.Errorf("%q bytes are free on the disk, %v", stats["disk_free_bytes"], err)
		}
		must(t, c.Servers[0].Stop(ctx))
		must(t, c.Servers[0].Start())
		must(t, c.Servers[0].AwaitReady(ctx))
	}
}

// awaitLog waits until a server has logged a text.
func awaitLog(ctx context.Context, t *testing.T, s *cluster.Server, want string) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		text, err := os.ReadFile(s.LogFile)
		if err == nil && !strings.Contains(string(text), want) {
			err = fmt.Errorf("server %d has not logged %q", s.ID, want)
		}
		return err
	}))
}

// TestLittleAddressSpace: the memory that is reserved for items may be less where
// the address space is limited.
func TestLittleAddressSpace(t *testing.T) {
	t.Parallel()
	if len(buildFlags) > 0 {
		t.Skip("the race detector reserves address space of its own")
	}
	_, c := startCluster(t, cluster.Options{Servers: 1, Limits: "-v 2097152"})
	client := clientOf(t, c.Servers[0])
	value := bytes.Repeat([]byte("v"), 100_000)
	for i := range 1000 { // more than fits
		must(t, client.Set(&memcache.Item{Key: fmt.Sprint("k", i), Value: value}))
	}
	must(t, client.FlushAll())
	must(t, client.Set(&memcache.Item{Key: "k", Value: value}))
}

// TestHangUpIsHarmless: SIGHUP ends no server, also without users to read again. The
// command verbosity changes what is logged, and stats settings tell of it.
func TestHangUpIsHarmless(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	s := c.Servers[0]
	must(t, s.Process().Signal(syscall.SIGHUP))
	awaitLog(ctx, t, s, "no file of users or certificates to read again")
	for _, level := range []string{"2", "0"} {
		if answer, err := cluster.Ask(ctx, s.ClientAddr, "verbosity "+level); err != nil || answer[0] != "OK" {
			t.Errorf("verbosity %s: %q, %v", level, answer, err)
		}
		answer, err := cluster.Ask(ctx, s.ClientAddr, "stats settings")
		if err != nil || !slices.Contains(answer, "STAT verbosity "+level) {
			t.Errorf("after verbosity %s: %q, %v", level, answer, err)
		}
	}
}

// TestBothVersionsOfIP: addresses of several -l are all listened at, and 0.0.0.0 and
// :: do not take each other's port.
func TestBothVersionsOfIP(t *testing.T) {
	for _, args := range [][]string{{"-l", "127.0.0.1", "-l", "::1"}, {"-l", "0.0.0.0,::"}} {
		ctx, cancel := context.WithTimeout(t.Context(), testLimit)
		defer cancel()
		port := freePort(t)
		log := filepath.Join(t.TempDir(), "log")
		args = append(args, "-p", port, "-data", t.TempDir())
		p, err := cluster.StartProcess(log, nil, executable, args...)
		must(t, err)
		for _, host := range []string{"127.0.0.1", "::1"} {
			must(t, cluster.Await(ctx, func() error {
				_, err := cluster.Ask(ctx, net.JoinHostPort(host, port), "version")
				return err
			}))
		}
		must(t, p.End(ctx, syscall.SIGTERM))
	}
}

// freePort returns a port that nobody uses, of both versions of IP.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	must(t, err)
	_, port, err := net.SplitHostPort(l.Addr().String())
	must(t, errors.Join(err, l.Close()))
	return port
}
