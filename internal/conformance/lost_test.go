package conformance

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/cluster"

	"github.com/bradfitz/gomemcache/memcache"
)

// lostKeys is how many keys a client stores while a server is dead.
const lostKeys = 100

// TestLostServer: what clients do by default when one of three servers has died, and
// with the settings that docs/clients.md names. By default a client cannot store the
// keys of that server, some of which there are; with those settings it can.
func TestLostServer(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's clients: not in a short run")
	}
	if *againstReal {
		t.Skip("with memcached the keys of a dead server are lost")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	dir := t.TempDir()
	executable, err := cluster.Build(ctx, dir, "./cmd/raftcached")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(ctx, cluster.Options{Executable: executable, Dir: dir, Servers: 3, Settings: map[string]any{"requestTimeoutMs": 20_000}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := c.Servers[2].Kill(); err != nil {
		t.Fatal(err)
	}
	if err := c.AwaitServing(ctx, 0, 1); err != nil {
		t.Fatal(err)
	}
	all := suites()
	for _, l := range []struct {
		suite, file string
		failsOver   bool
	}{
		{"php-memcached text", "lost.php", true},
		{"pymemcache", "lost_pymemcache.py", true},
		{"pylibmc text", "lost_pylibmc.py", true},
		{"Cache::Memcached::Fast", "lost.pl", false},
	} {
		t.Run(l.suite, func(t *testing.T) {
			for _, s := range all {
				if s.name != l.suite {
					continue
				}
				if exec.CommandContext(ctx, s.probe[0], s.probe[1:]...).Run() != nil {
					cluster.Skip(t, "needs %s: apt-get install %s", s.name, s.debian)
				}
				interpreter := s.command(nil)[0]
				if n := stored(ctx, t, interpreter, l.file, "default", c.ClientAddrs()); n >= lostKeys {
					t.Errorf("by default all %d keys are stored", n)
				}
				if !l.failsOver {
					continue
				}
				if n := stored(ctx, t, interpreter, l.file, "failover", c.ClientAddrs()); n != lostKeys {
					t.Errorf("with failover %d of %d keys are stored", n, lostKeys)
				}
			}
		})
	}
	t.Run("gomemcache", func(t *testing.T) {
		client := memcache.New(c.ClientAddrs()...)
		client.Timeout = testLimit
		failed := 0
		for i := range lostKeys {
			if client.Set(&memcache.Item{Key: fmt.Sprint("key", i), Value: []byte("v")}) != nil {
				failed++
			}
		}
		if failed == 0 || failed == lostKeys {
			t.Errorf("%d of %d keys could not be stored", failed, lostKeys)
		}
	})
}

// stored runs a script of clients/ and returns how many keys it has stored.
func stored(ctx context.Context, t *testing.T, interpreter, file, mode string, addrs []string) (n int) {
	t.Helper()
	args := append([]string{filepath.Join("clients", file), mode}, addrs...)
	output, err := exec.CommandContext(ctx, interpreter, args...).CombinedOutput()
	_, number, _ := strings.Cut(string(output), "stored ")
	if _, scanErr := fmt.Sscan(number, &n); err != nil || scanErr != nil {
		t.Fatalf("%s %s: %v\n%s", file, mode, err, output)
	}
	return n
}
