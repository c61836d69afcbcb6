package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

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
