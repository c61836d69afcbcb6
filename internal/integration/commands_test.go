package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestEveryCommandThroughEveryServer runs gomemcache's commands through the leader
// and through each follower, and reads each outcome at all of them.
func TestEveryCommandThroughEveryServer(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	clients := clientsOf(t, c)
	for _, s := range c.Servers {
		role := "follower"
		if s == leader {
			role = "leader"
		}
		t.Run(fmt.Sprintf("server %d, %s", s.ID, role), func(t *testing.T) {
			storage(t, clients[s.ID], clients)
			numbers(t, clients[s.ID], clients)
			expiry(t, clients[s.ID], clients)
			manyKeys(t, clients[s.ID])
		})
	}
	t.Run("flush_all", func(t *testing.T) {
		must(t, clients[1].Set(&memcache.Item{Key: "flushed", Value: []byte("x")}))
		must(t, clients[2].FlushAll())
		wantMissEverywhere(t, clients, "flushed")
		must(t, clients[0].Set(&memcache.Item{Key: "flushed", Value: []byte("y")}))
		wantEverywhere(t, clients, "flushed", "y")
	})
	must(t, c.AwaitEqual(ctx))
}

func storage(t *testing.T, client *memcache.Client, all []*memcache.Client) {
	item := func(value string) *memcache.Item {
		return &memcache.Item{Key: "storage", Value: []byte(value), Flags: 7}
	}
	if err := client.Delete("storage"); err != nil && !errors.Is(err, memcache.ErrCacheMiss) {
		t.Fatal(err)
	}
	if err := client.Replace(item("r")); !errors.Is(err, memcache.ErrNotStored) {
		t.Errorf("replace of nothing: %v, want not stored", err)
	}
	if err := client.Append(item("a")); !errors.Is(err, memcache.ErrNotStored) {
		t.Errorf("append to nothing: %v, want not stored", err)
	}
	must(t, client.Add(item("one")))
	wantEverywhere(t, all, "storage", "one")
	if err := client.Add(item("two")); !errors.Is(err, memcache.ErrNotStored) {
		t.Errorf("add of what is there: %v, want not stored", err)
	}
	must(t, client.Set(item("three")))
	must(t, client.Append(item(">")))
	must(t, client.Prepend(item("<")))
	wantEverywhere(t, all, "storage", "<three>")
	must(t, client.Replace(item("four")))
	wantEverywhere(t, all, "storage", "four")

	got, err := client.Get("storage")
	must(t, err)
	if got.Flags != 7 {
		t.Errorf("flags are %d, want 7", got.Flags)
	}
	got.Value = []byte("five")
	must(t, client.CompareAndSwap(got))
	wantEverywhere(t, all, "storage", "five")
	if err := client.CompareAndSwap(got); !errors.Is(err, memcache.ErrCASConflict) {
		t.Errorf("cas with a cas unique of before: %v, want a conflict", err)
	}
	must(t, client.Delete("storage"))
	wantMissEverywhere(t, all, "storage")
	if err := client.Delete("storage"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("delete of nothing: %v, want a miss", err)
	}
	if err := client.CompareAndSwap(got); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("cas of nothing: %v, want a miss", err)
	}
}

func numbers(t *testing.T, client *memcache.Client, all []*memcache.Client) {
	must(t, client.Set(&memcache.Item{Key: "number", Value: []byte("10")}))
	if n, err := client.Increment("number", 5); n != 15 || err != nil {
		t.Errorf("incr by 5: %d, %v, want 15", n, err)
	}
	if n, err := client.Decrement("number", 20); n != 0 || err != nil {
		t.Errorf("decr below 0: %d, %v, want 0", n, err)
	}
	if n, err := client.Increment("number", 1<<63); n != 1<<63 || err != nil {
		t.Errorf("incr by 2^63: %d, %v", n, err)
	}
	wantEverywhere(t, all, "number", "9223372036854775808")
	if _, err := client.Increment("no number", 1); err == nil {
		t.Error("incr of a malformed key: no error")
	}
	if _, err := client.Increment("nothing", 1); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("incr of nothing: %v, want a miss", err)
	}
}

func expiry(t *testing.T, client *memcache.Client, all []*memcache.Client) {
	must(t, client.Set(&memcache.Item{Key: "expired", Value: []byte("x"), Expiration: -1}))
	wantMissEverywhere(t, all, "expired")
	must(t, client.Set(&memcache.Item{Key: "touched", Value: []byte("x"), Expiration: 1000}))
	must(t, client.Touch("touched", 2000))
	wantEverywhere(t, all, "touched", "x")
	must(t, client.Touch("touched", -1))
	wantMissEverywhere(t, all, "touched")
	if err := client.Touch("touched", 5); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("touch of what has expired: %v, want a miss", err)
	}
	must(t, client.Set(&memcache.Item{Key: "gat", Value: []byte("x")}))
	item, err := client.GetAndTouch("gat", -1)
	if err != nil || string(item.Value) != "x" {
		t.Errorf("gat: %v, want x", err)
	}
	wantMissEverywhere(t, all, "gat")
}

func manyKeys(t *testing.T, client *memcache.Client) {
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("many-%d", i))
		must(t, client.Set(&memcache.Item{Key: keys[i], Value: bytes.Repeat([]byte{'v'}, i)}))
	}
	items, err := client.GetMulti(append(keys, "none"))
	must(t, err)
	if len(items) != len(keys) {
		t.Errorf("%d items of %d", len(items), len(keys))
	}
	for i, key := range keys {
		if items[key] == nil || len(items[key].Value) != i {
			t.Errorf("item %q is %v, want %d bytes", key, items[key], i)
		}
	}
}

// TestNetcat is a session typed by hand, as README shows it: -C turns the line ends
// of a terminal into those of the protocol.
func TestNetcat(t *testing.T) {
	t.Parallel()
	nc := needProgram(t, "nc", "netcat-openbsd")
	ctx, c := startCluster(t, cluster.Options{})
	for _, s := range c.Servers {
		host, port, _ := strings.Cut(s.ClientAddr, ":")
		cmd := exec.CommandContext(ctx, nc, "-C", "-w", "10", host, port)
		cmd.Stdin = strings.NewReader("set greeting 0 0 5\nhello\nget greeting\nversion\nquit\n")
		output, err := cmd.CombinedOutput()
		want := "STORED\r\nVALUE greeting 0 5\r\nhello\r\nEND\r\nVERSION 1.6.45\r\n"
		if err != nil || string(output) != want {
			t.Errorf("nc at server %d: %q, %v, want %q", s.ID, output, err, want)
		}
	}
}

// TestPymemcache uses a client in another language, which spreads keys over all three
// servers by hash.
func TestPymemcache(t *testing.T) {
	t.Parallel()
	const program = `
import sys
from pymemcache.client.base import Client
from pymemcache.client.hash import HashClient
servers = [(a.split(":")[0], int(a.split(":")[1])) for a in sys.argv[1:]]
one, two, three = (Client(s, timeout=10, default_noreply=False) for s in servers)
assert one.set("k", b"v") is True
assert two.get("k") == b"v"
value, cas = three.gets("k")
assert two.cas("k", b"w", cas) is True
assert one.cas("k", b"x", cas) is False
assert three.get("k") == b"w"
assert one.set("n", b"41") is True
assert two.incr("n", 1) == 42
assert three.delete("n") is True
assert one.get("n") is None
assert one.version().startswith(b"1.6.")
pool = HashClient(servers, timeout=10, default_noreply=False)
assert pool.set_many({"key%d" % i: b"%d" % i for i in range(50)}) == []
assert two.get_many(["key%d" % i for i in range(50)]) == {"key%d" % i: b"%d" % i for i in range(50)}
print("fine")
`
	python := "/usr/bin/python3" // the interpreter that Debian's package is for
	if err := exec.Command(python, "-c", "import pymemcache").Run(); err != nil {
		skip(t, "needs pymemcache: apt-get install python3-pymemcache")
	}
	ctx, c := startCluster(t, cluster.Options{})
	file := filepath.Join(t.TempDir(), "client.py")
	must(t, os.WriteFile(file, []byte(program), 0o600))
	output, err := exec.CommandContext(ctx, python, append([]string{file}, c.ClientAddrs()...)...).CombinedOutput()
	if err != nil || strings.TrimSpace(string(output)) != "fine" {
		t.Errorf("pymemcache: %v\n%s", err, output)
	}
}

// TestLoneServer starts a server without a cluster, stops it gracefully, and finds
// its items after a restart.
func TestLoneServer(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	client := clientOf(t, c.Servers[0])
	must(t, client.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
	must(t, c.Servers[0].Stop(ctx))
	if code := c.Servers[0].Process().ExitCode(); code != 0 {
		t.Errorf("exit code after SIGTERM is %d, want 0", code)
	}
	must(t, c.Servers[0].Start())
	must(t, c.Servers[0].AwaitReady(ctx))
	item, err := getAgain(client, "k")
	if err != nil || string(item.Value) != "v" {
		t.Errorf("get after a restart: %v, want v", err)
	}
}

// getAgain reads a key with a client whose idle connections may have ended with
// their server.
func getAgain(client *memcache.Client, key string) (item *memcache.Item, err error) {
	for range 20 {
		if item, err = client.Get(key); err == nil || errors.Is(err, memcache.ErrCacheMiss) || isServerError(err) {
			return item, err
		}
	}
	return item, err
}

// TestWrongStarts: a start that cannot work is reported in one sentence, with exit
// code 64 or 78 for a wrong configuration, and does not disturb servers that run.
func TestWrongStarts(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{})
	for _, w := range []struct {
		name  string
		start func(dir string) []string // arguments
		want  string
	}{
		{"port in use", func(dir string) []string {
			return []string{"-data", dir, "-l", c.Servers[0].ClientAddr}
		}, c.Servers[0].ClientAddr},
		{"data folder in use", func(string) []string {
			return []string{"-data", c.Servers[1].DataDir, "-l", "127.0.0.1:1"}
		}, c.Servers[1].DataDir},
	} {
		t.Run(w.name, func(t *testing.T) {
			output := runToEnd(ctx, t, w.start(filepath.Join(t.TempDir(), "data"))...)
			last := output[strings.LastIndexByte(strings.TrimSpace(output), '\n')+1:]
			if !strings.HasPrefix(last, "raftcached: ") || !strings.Contains(last, w.want) {
				t.Errorf("output is %q, want a sentence that names %s", output, w.want)
			}
		})
	}
	must(t, c.AwaitReady(ctx))
}

// runToEnd runs the server with arguments that cannot work and returns its
// output.
func runToEnd(ctx context.Context, t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(ctx, executable, args...)
	cmd.Env = os.Environ()
	output, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() < 1 {
		t.Errorf("server with arguments %q: %v, want an exit code of 1 or more", args, err)
	}
	return string(output)
}
