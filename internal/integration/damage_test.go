package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// flipBehind sets a bit, which no text has, behind the first place where a running server's
// files hold text, and reports whether there is one.
func flipBehind(t *testing.T, pattern, text string) bool {
	t.Helper()
	names, err := filepath.Glob(pattern)
	must(t, err)
	for _, name := range names {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		must(t, err)
		b, err := os.ReadFile(name)
		must(t, err)
		at := bytes.Index(b, []byte(text))
		if at >= 0 {
			at += len(text) + 100
			_, err = f.WriteAt([]byte{b[at] | 0x80}, int64(at))
			must(t, err)
		}
		must(t, f.Close())
		if at >= 0 {
			return true
		}
	}
	return false
}

// store stores large items, 20 KiB each.
func store(t *testing.T, s *cluster.Server, prefix string, count int) {
	t.Helper()
	client := clientOf(t, s)
	for i := range count {
		must(t, client.Set(&memcache.Item{Key: fmt.Sprint(prefix, i), Value: bytes.Repeat([]byte("v"), 20<<10)}))
	}
}

// damageSnapshots damages the snapshots of servers, once each has one with the item kept1.
func damageSnapshots(ctx context.Context, t *testing.T, servers ...*cluster.Server) {
	t.Helper()
	for _, s := range servers {
		must(t, cluster.Await(ctx, func() error { // until it has taken one
			// Each server keeps two snapshots, and any of them may be sent.
			names, err := filepath.Glob(filepath.Join(s.DataDir, "snap", "*.snap"))
			harmed := 0
			for _, name := range names {
				if flipBehind(t, name, "kept1") {
					harmed++
				}
			}
			if harmed == 0 {
				err = errors.Join(err, fmt.Errorf("server %d has %d snapshots, none of which has the item", s.ID, len(names)))
			}
			return err
		}))
	}
}

// TestDamagedSnapshotIsNotSent: a bit is flipped in the snapshots of both servers that
// could send one to a server that needs it. It is noticed before it is sent, another one
// is made, and the log stays short.
func TestDamagedSnapshotIsNotSent(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"logRetainMiB": 1, "electionTicks": 100}})
	victim, leader, third := victimOf(ctx, t, c)
	store(t, leader, "kept", 3)
	must(t, c.AwaitEqual(ctx))
	const noticed = "a snapshot is damaged: set it aside, and taking another one"
	var text []byte
	for range 5 { // the leader may take another one between the damage and the victim's start
		must(t, victim.Kill())
		store(t, leader, "late", 300)
		damageSnapshots(ctx, t, leader, third)
		must(t, victim.Start())
		must(t, victim.AwaitReady(ctx))
		must(t, c.AwaitEqual(ctx))
		var err error
		text, err = os.ReadFile(leader.LogFile)
		if must(t, err); bytes.Contains(text, []byte(noticed)) {
			break
		}
	}
	for _, key := range []string{"kept1", "late299"} {
		if _, err := clientOf(t, victim).Get(key); err != nil {
			t.Errorf("get %s: %v", key, err)
		}
	}
	if !bytes.Contains(text, []byte(noticed)) {
		t.Errorf("the damage was not noticed: %s", leader.LogTail())
	}
	if failed := bytes.Count(text, []byte("snapshot did not reach a server")); failed > 10 {
		t.Errorf("%d attempts failed", failed)
	}
}

// TestSegmentDamagedWhileItServes: a leader cannot read an entry that a follower lacks. It
// ends with a sentence, and the others go on.
func TestSegmentDamagedWhileItServes(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: steady()})
	victim, leader, third := victimOf(ctx, t, c)
	fill(t, leader, "early")
	must(t, victim.Kill())
	store(t, leader, "late", 600) // more than what is kept in memory
	if !flipBehind(t, filepath.Join(leader.DataDir, "wal", "*.wal"), "late7") {
		t.Fatal("the entry is not in the raft log")
	}
	must(t, victim.Start())
	select {
	case <-leader.Process().Done():
	case <-ctx.Done():
		t.Fatalf("server %d goes on: %s", leader.ID, leader.LogTail())
	}
	tail := leader.LogTail()
	for _, words := range []string{"is damaged at byte", "an entry that was readable no longer is", replaceCommand(leader)} {
		if !strings.Contains(tail, words) {
			t.Errorf("%q is missing in: %s", words, tail)
		}
	}
	if code := leader.Process().ExitCode(); code != exitConfiguration {
		t.Errorf("exit code %d, want %d", code, exitConfiguration)
	}
	must(t, c.AwaitServing(ctx, victim.ID, third.ID))
	wantFilled(t, victim, "early")
	if _, err := clientOf(t, victim).Get("late599"); err != nil {
		t.Errorf("get: %v", err)
	}
	wantRefused(ctx, t, leader, "is damaged at byte", replaceCommand(leader))
}
