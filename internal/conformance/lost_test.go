package conformance

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os/exec"
	"testing"

	"raftcached/internal/cluster"

	"github.com/bradfitz/gomemcache/memcache"
)

// lostKeys is how many keys a client stores in a round. Some are of each server.
const lostKeys = 100

// mode is a way in which a client is set up, and what becomes of its keys when a server dies.
type mode struct {
	name string // of the script's first argument

	// failsOver: the other servers take the dead one's keys, after atMost requests of the first
	// round have failed. Otherwise some keys cannot be stored in the second round either.
	failsOver bool
	atMost    int
}

// lostClient is a client that is tried with a server that dies.
type lostClient struct {
	name, debian string
	npm          bool
	probe        []string // succeeds if it is installed
	command      []string // but for the mode and the servers
	modes        []mode
}

// lostClients are those of docs/clients.md. By "default" is with patience for a busy machine, and
// nothing else; "failover" is with the settings that the document names, "off" with those it warns of. Sessions of PHP
// do not fail over whatever is set, which the document says.
func lostClients() []lostClient {
	libmemcached := []mode{{name: "default"}, {name: "failover", failsOver: true, atMost: 3}}
	const spymemcached = "/usr/share/java/spymemcached.jar"
	return []lostClient{
		{"php-memcached", "php-cli php-memcached", false, []string{"php", "-r", "new Memcached();"}, []string{"php", "clients/lost.php"}, libmemcached},
		{"php-memcached sessions", "php-cli php-memcached", false, []string{"php", "-r", "new Memcached();"}, []string{"php", "clients/lost_session.php"}, []mode{{name: "default"}, {name: "failover"}}},
		{"pymemcache", "python3-pymemcache", false, []string{python, "-c", "import pymemcache"}, []string{python, "clients/lost_pymemcache.py"}, []mode{{name: "default"}, {name: "failover", failsOver: true, atMost: 2}}},
		{"pylibmc", "python3-pylibmc", false, []string{python, "-c", "import pylibmc"}, []string{python, "clients/lost_pylibmc.py"}, libmemcached},
		{"Cache::Memcached::Fast", "libcache-memcached-fast-perl", false, []string{"perl", "-MCache::Memcached::Fast", "-e", "1"}, []string{"perl", "clients/lost.pl"}, []mode{{name: "default"}}},
		{"dalli", "ruby-dalli", false, []string{"ruby", "-rdalli", "-e", "1"}, []string{"ruby", "clients/lost.rb"}, []mode{{name: "default", failsOver: true}, {name: "off"}}},
		{"spymemcached", "libspymemcached-java default-jdk-headless", false, []string{"sh", "-c", "command -v javac && test -e " + spymemcached}, []string{"java", "-cp", spymemcached, "clients/Lost.java"}, []mode{{name: "default", failsOver: true, atMost: 1}, {name: "off"}}},
		{"npm memjs", "nodejs npm", true, []string{"sh", "-c", "command -v node && command -v npm"}, []string{"node", "lost_memjs.js"}, []mode{{name: "default"}, {name: "failover", failsOver: true}}},
		{"npm memcached", "nodejs npm", true, []string{"sh", "-c", "command -v node && command -v npm"}, []string{"node", "lost_memcached.js"}, []mode{{name: "default"}, {name: "failover", failsOver: true, atMost: 2}}},
	}
}

// TestLostServer: what clients with connections do when one of three servers dies, by default and
// with the settings that docs/clients.md names.
func TestLostServer(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's clients: not in a short run")
	}
	if *againstReal {
		t.Skip("with memcached the keys of a dead server are lost")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c := startThree(ctx, t)
	for _, l := range lostClients() {
		t.Run(l.name, func(t *testing.T) {
			switch {
			case l.npm && !*withNPM:
				t.Skip("needs -npm")
			case !*withLost && l.name != "pymemcache":
				t.Skip("needs -lost: it waits for timeouts of the client")
			}
			if exec.CommandContext(ctx, l.probe[0], l.probe[1:]...).Run() != nil {
				cluster.Skip(t, "needs %s: apt-get install %s", l.name, l.debian)
			}
			folder := "."
			if l.npm {
				folder = installNPM(ctx, t)
			}
			for _, m := range l.modes {
				t.Run(m.name, func(t *testing.T) { loseServer(ctx, t, c, folder, l.command, m) })
			}
		})
	}
	t.Run("gomemcache", func(t *testing.T) {
		client := memcache.New(c.ClientAddrs()...)
		client.Timeout = testLimit
		killOne(ctx, t, c)
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

// startThree starts three servers that wait long for leaders.
func startThree(ctx context.Context, t *testing.T) *cluster.Cluster {
	t.Helper()
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
	return c
}

// killOne kills a server until the test ends, and waits until the others serve.
func killOne(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	if err := c.Servers[2].Kill(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Servers[2].Start(); err != nil {
			t.Fatal(err)
		}
		if err := c.AwaitReady(ctx); err != nil {
			t.Fatal(err)
		}
	})
	if err := c.AwaitServing(ctx, 0, 1); err != nil {
		t.Fatal(err)
	}
}

// loseServer runs a script for three rounds: all servers are there in the first one, and one is
// dead in the others.
func loseServer(ctx context.Context, t *testing.T, c *cluster.Cluster, folder string, command []string, m mode) {
	t.Helper()
	cmd := exec.CommandContext(ctx, command[0], append(append(append([]string{}, command[1:]...), m.name), c.ClientAddrs()...)...)
	cmd.Dir = folder
	var errs bytes.Buffer
	cmd.Stderr = &errs
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err = cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() })
	defer func() { _ = in.Close() }()
	lines := bufio.NewScanner(out)
	round := func() (stored int) {
		if _, err := io.WriteString(in, "go\n"); err != nil || !lines.Scan() {
			t.Fatalf("the script ended: %v %s", err, &errs)
		}
		if _, err := fmt.Sscanf(lines.Text(), "stored %d", &stored); err != nil {
			t.Fatalf("the script says %q: %s", lines.Text(), &errs)
		}
		return stored
	}
	before := round()
	killOne(ctx, t, c)
	first, second := round(), round()
	t.Logf("stored of %d keys: %d, then, with a dead server, %d and %d", lostKeys, before, first, second)
	switch {
	case before != lostKeys:
		t.Errorf("with all servers it has stored %d of %d keys", before, lostKeys)
	case m.failsOver && (first < lostKeys-m.atMost || second != lostKeys):
		t.Errorf("with a dead server it has stored %d and %d of %d keys, want %d and all", first, second, lostKeys, lostKeys-m.atMost)
	case !m.failsOver && second == lostKeys:
		t.Errorf("with a dead server it has stored all %d keys", second)
	}
}
