package integration

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// TestRecover loses two of three servers under load, for good, and goes on with what the
// third one has, as another cluster.
func TestRecover(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	left := c.Servers[2]
	fill(t, c.Servers[0], "early")
	must(t, clientOf(t, left).Set(&memcache.Item{Key: "counter", Value: []byte("40")}))
	if n, err := clientOf(t, left).Increment("counter", 2); err != nil || n != 42 {
		t.Fatalf("counter is %d: %v", n, err)
	}
	must(t, clientOf(t, left).Set(&memcache.Item{Key: "expires", Value: []byte("later"), Flags: 7, Expiration: 36000}))
	must(t, c.AwaitEqual(ctx))
	if code, _, stderr := ctl("recover", "--data", left.DataDir); code != 1 || !strings.Contains(stderr, "it is in use by another process") {
		t.Errorf("recover of a running server: exit code %d, %s", code, stderr)
	}
	l := startLoad(t, c, 1)
	defer l.finish()
	l.awaitProgress(t, 50)
	for _, s := range c.Servers {
		must(t, s.Kill())
	}
	l.finish()
	older := filepath.Join(t.TempDir(), "older")
	must(t, os.CopyFS(older, os.DirFS(c.Servers[0].DataDir)))
	for _, s := range c.Servers[:2] {
		must(t, os.RemoveAll(s.DataDir))
	}

	code, stdout, stderr := ctl("recover", "--data", left.DataDir)
	if code != 1 || !strings.Contains(stderr, "there is no terminal to ask at, so nothing was changed: say --yes if that is meant") {
		t.Fatalf("recover without a yes: exit code %d\n%s%s", code, stdout, stderr)
	}
	had := regexp.MustCompile(`items +(\d+) of`).FindStringSubmatch(stdout)
	if had == nil || !strings.Contains(stdout, "server 0 at") || !strings.Contains(stdout, "What may be missing:") {
		t.Fatalf("recover says\n%s", stdout)
	}
	owned := ownedByAnother(t, left.DataDir)
	code, stdout, stderr = ctl("recover", "--data", left.DataDir, "--config", c.Config, "--yes")
	owned()
	if code != 0 || !strings.Contains(stdout, "recovered: server 2 is the only one of cluster") {
		t.Fatalf("recover: exit code %d\n%s%s", code, stdout, stderr)
	}
	if code, _, stderr = ctl("recover", "--data", left.DataDir, "--yes"); code != 1 || !strings.Contains(stderr, "it was recovered already") {
		t.Errorf("recover again: exit code %d, %s", code, stderr)
	}

	if code, stdout, stderr = ctl("log", "dump", "--data", left.DataDir); code != 0 || !strings.Contains(stdout, "recovered: was folder ") || !strings.Contains(stdout, "restart: the log begins after entry ") {
		t.Errorf("log dump: exit code %d\n%s%s", code, stdout, stderr)
	}

	must(t, left.Start())
	must(t, left.AwaitReady(ctx))
	wantRecovered(ctx, t, left, had[1])
	must(t, clientOf(t, left).Set(&memcache.Item{Key: "new", Value: []byte("begin")}))

	// A folder of the lost cluster is of no use to the new one.
	must(t, os.CopyFS(c.Servers[0].DataDir, os.DirFS(older)))
	must(t, c.Servers[0].Start())
	<-c.Servers[0].Process().Done()
	for _, s := range []*cluster.Server{c.Servers[0], left} {
		if text, err := os.ReadFile(s.LogFile); err != nil || !strings.Contains(string(text), "which lost its majority and was recovered as cluster") {
			t.Errorf("server %d does not say why: %v, %s", s.ID, err, s.LogTail())
		}
	}
	if !left.Running() {
		t.Error("a folder of the lost cluster has ended the recovered server")
	}

	must(t, left.Kill())
	must(t, left.Start())
	must(t, left.AwaitReady(ctx))
	wantRecovered(ctx, t, left, "")
	if item, err := clientOf(t, left).Get("new"); err != nil || string(item.Value) != "begin" {
		t.Errorf("what was stored after the recovery: %v", err)
	}

	// The others come in as new servers.
	for _, s := range c.Servers[:2] {
		must(t, os.RemoveAll(s.DataDir))
		host, port, err := net.SplitHostPort(s.ClientAddr)
		must(t, err)
		logPort := fmt.Sprint(11311 + s.ID)
		if code, stdout, stderr := ctl("member", "add", fmt.Sprint(s.ID), "--host", host, "--port", port, "--log-port", logPort, "--no-wait"); code != 0 {
			t.Fatalf("add server %d: exit code %d\n%s%s", s.ID, code, stdout, stderr)
		}
		must(t, s.Start())
		must(t, s.AwaitReady(ctx))
	}
	must(t, c.AwaitEqual(ctx))
	awaitExit(ctx, t, ctl, 0, "status")
	wantRecovered(ctx, t, c.Servers[0], "")
}

// wantRecovered reads what the test has stored; items is how many there are, if known.
func wantRecovered(ctx context.Context, t *testing.T, s *cluster.Server, items string) {
	t.Helper()
	wantFilled(t, s, "early")
	client := clientOf(t, s)
	if n, err := client.Increment("counter", 0); err != nil || n != 42 {
		t.Errorf("counter is %d: %v", n, err)
	}
	if item, err := client.Get("expires"); err != nil || item.Flags != 7 {
		t.Errorf("item that expires: %v", err)
	}
	stats, err := cluster.Stats(ctx, s.ClientAddr, "")
	must(t, err)
	if items != "" && stats["curr_items"] != items {
		t.Errorf("%s items, want %s", stats["curr_items"], items)
	}
}

// ownedByAnother gives a folder and all in it to another user, as that of a service has it,
// and returns what checks that it is still so. It does nothing unless root runs the test.
func ownedByAnother(t *testing.T, dir string) (check func()) {
	t.Helper()
	const nobody = 65534
	if os.Getuid() != 0 {
		return func() {}
	}
	each := func(do func(name string) error) {
		t.Helper()
		must(t, filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
			must(t, err)
			return do(name)
		}))
	}
	each(func(name string) error { return os.Lchown(name, nobody, nobody) })
	return func() {
		t.Helper()
		each(func(name string) error {
			info, err := os.Lstat(name)
			if err == nil && info.Sys().(*syscall.Stat_t).Uid != nobody {
				t.Errorf("%s belongs to another user than the folder", name)
			}
			return err
		})
	}
}
