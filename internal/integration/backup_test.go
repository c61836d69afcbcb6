package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

const (
	backupItems      = 2500
	backupValueBytes = 8 << 10 // more in all than sockets buffer
)

func backupItem(i int) *memcache.Item {
	return &memcache.Item{
		Key: fmt.Sprintf("item-%d", i), Value: bytes.Repeat([]byte{byte('a' + i%26)}, backupValueBytes), Flags: uint32(i), Expiration: int32(i%2) * 36000,
	}
}

// TestBackupAndRestore backs three servers up under load, and again while the server
// that gives the backup is killed, and restores that into clusters of one, three and
// five servers, one of which is interrupted.
func TestBackupAndRestore(t *testing.T) {
	if testing.Short() {
		t.Skip("moves many items: not in a short run")
	}
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	clients := clientsOf(t, c)
	var stores sync.WaitGroup
	for w := range 12 {
		stores.Go(func() {
			for i := w; i < backupItems; i += 12 {
				if err := clients[i%3].Set(backupItem(i)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	stores.Wait()
	dir := t.TempDir()

	l := startLoad(t, c, 1)
	defer l.finish()
	l.awaitProgress(t, 20)
	must(t, clients[0].Set(&memcache.Item{Key: "acknowledged", Value: []byte("before the backup")}))
	underLoad := filepath.Join(dir, "under load")
	if code, stdout, stderr := ctl("backup", underLoad); code != 0 || !strings.Contains(stdout, "(follower)") {
		t.Fatalf("backup under load: exit code %d\n%s%s", code, stdout, stderr)
	}
	l.finish()
	if code, stdout, stderr := ctl("inspect", "--keys", underLoad); code != 0 || !strings.Contains(stdout, "\nacknowledged\n") || strings.Count(stdout, "item-") != backupItems {
		t.Fatalf("inspect: exit code %d, %d lines\n%s", code, strings.Count(stdout, "\n"), stderr)
	}

	file := filepath.Join(dir, "killed")
	backupWhileKilled(ctx, t, c, file)
	code, inspected, stderr := ctl("inspect", file)
	if code != 0 || !strings.Contains(inspected, "whole") {
		t.Fatalf("inspect: exit code %d\n%s%s", code, inspected, stderr)
	}
	digest := inspected[strings.Index(inspected, "contents"):]
	if out := awaitExit(ctx, t, ctl, 1, "verify"); !strings.Contains(out, strings.Fields(digest)[1]) {
		t.Errorf("the source verifies as\n%s, the backup has %s", out, digest)
	}
	t.Run("restore", func(t *testing.T) {
		for _, n := range []int{1, 3, 5} {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				t.Parallel()
				restoreInto(t, n, file, digest)
			})
		}
	})
}

// backupWhileKilled writes a backup whose first source is killed in the middle.
func backupWhileKilled(ctx context.Context, t *testing.T, c *cluster.Cluster, file string) {
	t.Helper()
	must(t, c.AwaitEqual(ctx)) // all followers are equally far: the first one is asked first
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	program, err := buildCtl()
	must(t, err)
	cmd := exec.CommandContext(ctx, program, "backup", file)
	cmd.Dir = filepath.Dir(c.Config)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	must(t, cmd.Start())
	must(t, cluster.Await(ctx, func() error {
		begun, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".killed.*.unfinished"))
		for _, name := range begun {
			if info, err := os.Stat(name); err == nil && info.Size() > 0 {
				return cmd.Process.Signal(syscall.SIGSTOP)
			}
		}
		return errors.Join(errors.New("the backup has not begun"), err)
	}))
	victim := followersOf(c, leader)[0]
	must(t, victim.Kill())
	must(t, cmd.Process.Signal(syscall.SIGCONT))
	if err := cmd.Wait(); err != nil || strings.Contains(out.String(), fmt.Sprintf("server %d ", victim.ID)) {
		t.Fatalf("backup from server %d, which was killed: %v\n%s", victim.ID, err, out.String())
	}
}

// restoreInto fills a new cluster, and compares it with the backup.
func restoreInto(t *testing.T, n int, file, digest string) {
	ctx, c := startCluster(t, cluster.Options{Servers: n})
	ctl := ctlOf(ctx, t, c)
	awaitExit(ctx, t, ctl, 0, "status")
	if n == 3 {
		interruptRestore(ctx, t, c, file)
	}
	code, stdout, stderr := ctl("restore", file)
	if code != 0 || !strings.Contains(stdout, "the contents are those of the backup\n") || !strings.Contains(stdout, "EQUAL") || !strings.Contains(stdout, strings.Fields(digest)[1]) {
		t.Fatalf("restore: exit code %d\n%s%s", code, stdout, stderr)
	}
	for _, client := range clientsOf(t, c) {
		for i := 0; i < backupItems; i += 97 {
			want := backupItem(i)
			got, err := client.Get(want.Key)
			if err != nil || !bytes.Equal(got.Value, want.Value) || got.Flags != want.Flags {
				t.Fatalf("item %d: %v", i, err)
			}
		}
	}
	must(t, clientOf(t, c.Servers[0]).Set(&memcache.Item{Key: "after", Value: []byte("x")}))
	if code, _, stderr := ctl("restore", file); code != 0 { // what is complete may be repeated
		t.Errorf("restore again: exit code %d, %s", code, stderr)
	}
	other := filepath.Join(t.TempDir(), "other")
	if code, _, stderr := ctl("backup", other); code != 0 {
		t.Fatalf("backup of what was restored: exit code %d, %s", code, stderr)
	}
	if code, _, stderr := ctl("restore", other); code != 1 || !strings.Contains(stderr, "the cluster is not new: something was stored in it") {
		t.Errorf("restore into a used cluster: exit code %d, %s", code, stderr)
	}
}

// interruptRestore begins a restore, and kills it and the leader in the middle.
func interruptRestore(ctx context.Context, t *testing.T, c *cluster.Cluster, file string) {
	t.Helper()
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	program, err := buildCtl()
	must(t, err)
	cmd := exec.CommandContext(ctx, program, "restore", file)
	cmd.Dir = filepath.Dir(c.Config)
	must(t, cmd.Start())
	other := followersOf(c, leader)[0]
	must(t, cluster.Await(ctx, func() error {
		_, body := probe(other, "/status")
		var status struct{ Memory struct{ Items int } }
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			return err
		}
		if status.Memory.Items == 0 {
			return errors.New("no items yet")
		}
		return nil
	}))
	must(t, cmd.Process.Kill())
	_ = cmd.Wait() // it was killed
	must(t, leader.Kill())
	must(t, awaitProbe(ctx, other, "/readyz", 503, "restoring: a backup is being restored"))
	client := clientOf(t, other)
	if _, err := client.Get("item-0"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("get in the middle of a restore: %v", err)
	}
	if err := client.Set(&memcache.Item{Key: "k", Value: []byte("v")}); err == nil || !strings.Contains(err.Error(), "a backup is being restored") {
		t.Errorf("set in the middle of a restore: %v", err)
	}
	must(t, leader.Start())
	must(t, leader.AwaitReady(ctx))
}
