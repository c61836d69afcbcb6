package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
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
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	s := c.Servers[0]
	must(t, s.Process().Signal(syscall.SIGHUP))
	awaitLog(ctx, t, s, "no file of users to read again")
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
