package integration

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/replication/disk"
	"raftcached/replication/wal"
)

// exitConfiguration is the exit code of a server that is configured wrongly, or has a data
// folder with which it can never go on.
const exitConfiguration = 78

// wantRefused starts a server whose data folder cannot be trusted, twice. Each time it
// ends, with a last line that has all the words, and the exit code by which nobody starts it
// again.
func wantRefused(ctx context.Context, t *testing.T, s *cluster.Server, words ...string) {
	t.Helper()
	for range 2 {
		must(t, s.Start())
		select {
		case <-s.Process().Done():
		case <-ctx.Done():
			t.Fatalf("server %d goes on: %s", s.ID, s.LogTail())
		}
		tail := s.LogTail()
		last := tail[strings.LastIndexByte(tail, '\n')+1:]
		for _, word := range words {
			if !strings.Contains(last, word) {
				t.Errorf("server %d ends with %q, want %q in it", s.ID, last, word)
			}
		}
		if code := s.Process().ExitCode(); code != exitConfiguration {
			t.Errorf("server %d has exit code %d, want %d", s.ID, code, exitConfiguration)
		}
		if strings.Contains(tail, "panic") {
			t.Errorf("server %d panics: %s", s.ID, tail)
		}
	}
}

// replaceCommand is what helps against a folder that is of no use.
func replaceCommand(s *cluster.Server) string {
	return fmt.Sprintf("`raftcachectl member replace %d`", s.ID)
}

// fill stores items, named by the prefix, at a server.
func fill(t *testing.T, s *cluster.Server, prefix string) {
	t.Helper()
	client := clientOf(t, s)
	for i := range 40 {
		must(t, client.Set(&memcache.Item{Key: fmt.Sprint(prefix, i), Value: bytes.Repeat([]byte("v"), 200)}))
	}
}

// wantFilled reads what fill has stored, at a server.
func wantFilled(t *testing.T, s *cluster.Server, prefixes ...string) {
	t.Helper()
	client := clientOf(t, s)
	for _, prefix := range prefixes {
		for i := range 40 {
			if _, err := client.Get(fmt.Sprint(prefix, i)); err != nil {
				t.Errorf("get %s%d at server %d: %v", prefix, i, s.ID, err)
			}
		}
	}
}

// victimOf returns a follower, and the two other servers, the leader first.
func victimOf(ctx context.Context, t *testing.T, c *cluster.Cluster) (victim, leader, third *cluster.Server) {
	t.Helper()
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	followers := followersOf(c, leader)
	return followers[0], leader, followers[1]
}

// firstSegment and newestSegment name, within the data folder, the first segment of the
// log and the one that was written to when the server noted its floor last.
func firstSegment(t *testing.T, dir string) string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	must(t, err)
	return filepath.Join("wal", filepath.Base(names[0]))
}

func newestSegment(t *testing.T, s *cluster.Server) string {
	t.Helper()
	return filepath.Join("wal", fmt.Sprintf("%016x.wal", floorOf(t, s).Segment))
}

// TestLogRemovedBesideAServerThatWasDown: the two could form a majority that knows
// nothing of what was acknowledged meanwhile.
func TestLogRemovedBesideAServerThatWasDown(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, down := victimOf(ctx, t, c)
	fill(t, leader, "early")
	must(t, down.Kill())
	fill(t, leader, "late")
	must(t, leader.Kill())
	must(t, victim.Kill())
	must(t, os.RemoveAll(filepath.Join(victim.DataDir, "wal")))
	must(t, down.Start())
	wantRefused(ctx, t, victim, "all of its segments are missing", replaceCommand(victim))
	must(t, leader.Start())
	must(t, c.AwaitServing(ctx, leader.ID, down.ID))
	wantFilled(t, down, "early", "late")
}

// TestLogRemovedOfALoneServer: it does not begin again without a word.
func TestLogRemovedOfALoneServer(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	s := c.Servers[0]
	fill(t, s, "k")
	must(t, s.Stop(ctx))
	must(t, os.Rename(filepath.Join(s.DataDir, "wal"), filepath.Join(s.DataDir, "away")))
	wantRefused(ctx, t, s, "all of its segments are missing", "there is no other server to get the data from", "move the folder away")
	must(t, os.RemoveAll(filepath.Join(s.DataDir, "wal")))
	must(t, os.Rename(filepath.Join(s.DataDir, "away"), filepath.Join(s.DataDir, "wal")))
	must(t, s.Start())
	must(t, s.AwaitReady(ctx))
	wantFilled(t, s, "k")
}

// TestHarmWhileTheOthersServe harms one server's folder in every way, one after the other.
// The server ends with a sentence each time, and the others have everything.
func TestHarmWhileTheOthersServe(t *testing.T) {
	if underRace {
		t.Skip("servers that do not start race with nobody")
	}
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"logRetainMiB": 1}})
	s, leader, third := victimOf(ctx, t, c)
	store(t, leader, "early", 60)
	must(t, c.AwaitEqual(ctx))
	must(t, s.Stop(ctx))
	dir := t.TempDir()
	copied := func(name, from string) string {
		to := filepath.Join(dir, name)
		must(t, os.CopyFS(to, os.DirFS(from)))
		return to
	}
	older := copied("older", s.DataDir)
	must(t, s.Start())
	must(t, s.AwaitReady(ctx))
	stopWithSegments(ctx, t, c, s, leader)
	whole := copied("whole", s.DataDir)
	folders := foreignFolders(t)
	for _, h := range harms {
		t.Run(h.name, func(t *testing.T) {
			v := &victim{t: t, dir: s.DataDir, older: older, other: leader.DataDir, foreign: folders[s.ID].Dir}
			v.remove("")
			must(t, os.CopyFS(s.DataDir, os.DirFS(whole)))
			v.first, v.newest = firstSegment(t, v.dir), newestSegment(t, s)
			h.harm(v)
			wantRefused(ctx, t, s, h.want, replaceCommand(s))
		})
	}
	v := &victim{t: t, dir: s.DataDir}
	v.take(leader.DataDir, "identity")
	wantRefused(ctx, t, s, "give each server a folder of its own", replaceCommand(s))
	fill(t, third, "last")
	for _, other := range []*cluster.Server{leader, third} {
		wantFilled(t, other, "last")
		for _, key := range []string{"early0", "early59"} {
			if _, err := clientOf(t, other).Get(key); err != nil {
				t.Errorf("get %s at server %d: %v", key, other.ID, err)
			}
		}
	}
}

// stopWithSegments writes at the leader until the server, killed, has two snapshots and
// more of the log than its newest segment. A log is cut after a snapshot, so what it has
// is known for certain only once it does not run.
func stopWithSegments(ctx context.Context, t *testing.T, c *cluster.Cluster, s, leader *cluster.Server) {
	t.Helper()
	missing := func() error {
		snapshots, err := filepath.Glob(filepath.Join(s.DataDir, "snap", "*.snap"))
		if first := firstSegment(t, s.DataDir); len(snapshots) < 2 || first == newestSegment(t, s) || !s.Running() && !needed(t, s, first) {
			err = errors.Join(err, fmt.Errorf("%d snapshots, the log begins at %s", len(snapshots), first))
		}
		return err
	}
	must(t, cluster.Await(ctx, func() error {
		if !s.Running() {
			must(t, s.Start())
			must(t, s.AwaitReady(ctx))
		}
		store(t, leader, "early", 60)
		if err := missing(); err != nil {
			return err
		}
		store(t, leader, "more", 3)
		must(t, c.AwaitEqual(ctx))
		must(t, s.Kill())
		return missing()
	}))
}

// needed reports whether a server's log begins in its first segment and after its first
// entry. A server that is killed when it has marked where its log begins, and before it has
// removed what is older, does not miss that; one whose log is still whole misses no snapshot.
func needed(t *testing.T, s *cluster.Server, first string) bool {
	t.Helper()
	var mark, last uint64
	must(t, wal.Scan(disk.OS(), filepath.Join(s.DataDir, "wal"), func(p *wal.Piece) error {
		if p.Mark != nil {
			mark = max(mark, p.Mark.GetIndex())
		}
		if p.Entry != nil && filepath.Base(p.File) == filepath.Base(first) {
			last = max(last, p.Entry.GetIndex())
		}
		return nil
	}))
	return mark > 0 && last > mark
}

// TestOlderCopyIsKnown: a folder that was restored from a copy, although its server
// has acknowledged more since. It is started more often than the original was.
func TestOlderCopyIsKnown(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, third := victimOf(ctx, t, c)
	fill(t, leader, "early")
	must(t, victim.Stop(ctx))
	older := filepath.Join(t.TempDir(), "copy")
	must(t, os.CopyFS(older, os.DirFS(victim.DataDir)))
	must(t, victim.Start())
	must(t, victim.AwaitReady(ctx))
	fill(t, victim, "late")
	must(t, victim.Process().End(ctx, syscall.SIGKILL))
	must(t, os.RemoveAll(victim.DataDir))
	must(t, os.CopyFS(victim.DataDir, os.DirFS(older)))
	wantRefused(ctx, t, victim, "is a copy", replaceCommand(victim))
	wantFilled(t, third, "early", "late")

	// Only one of those who know is there.
	must(t, third.Kill())
	wantRefused(ctx, t, victim, "is a copy", replaceCommand(victim))
	must(t, third.Start())
	must(t, c.AwaitServing(ctx, leader.ID, third.ID))
	wantFilled(t, third, "early", "late")
}

// TestEndOfLogLost: the log ends well before what its server has noted to be there, at
// most a second ago.
func TestEndOfLogLost(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, third := victimOf(ctx, t, c)
	fill(t, leader, "early")
	must(t, c.AwaitEqual(ctx))
	first := floorOf(t, victim).Index
	fill(t, leader, "late")
	must(t, c.AwaitEqual(ctx))
	must(t, cluster.Await(ctx, func() error {
		if f := floorOf(t, victim).Index; f < first+40 {
			return fmt.Errorf("floor is %d, after %d", f, first)
		}
		return nil
	}))
	must(t, victim.Kill())
	loseEnd(t, filepath.Join(victim.DataDir, firstSegment(t, victim.DataDir)))
	wantRefused(ctx, t, victim, "it ends with entry", "there was an entry", replaceCommand(victim))
	wantFilled(t, third, "early", "late")
}

// floor is what a server's identity says to be in its log.
type floor struct{ Segment, Index uint64 }

func floorOf(t *testing.T, s *cluster.Server) floor {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(s.DataDir, "identity"))
	must(t, err)
	var file struct{ Floor floor }
	line, _, _ := bytes.Cut(b, []byte("\n"))
	must(t, json.Unmarshal(line, &file))
	return file.Floor
}

// TestEndOfLogLostBeforeItWasNoted: the log ends well before what was acknowledged to
// the leader, as far as its files tell. The leader knows better, unless there is another
// one by then: that begins with what the followers have.
func TestEndOfLogLostBeforeItWasNoted(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, third := victimOf(ctx, t, c)
	noted, err := os.ReadFile(filepath.Join(victim.DataDir, "identity"))
	must(t, err)
	fill(t, leader, "early")
	must(t, c.AwaitEqual(ctx))
	before, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
	must(t, err)
	must(t, victim.Kill())
	must(t, os.WriteFile(filepath.Join(victim.DataDir, "identity"), noted, 0o600))
	loseEnd(t, filepath.Join(victim.DataDir, firstSegment(t, victim.DataDir)))
	must(t, victim.Start())
	must(t, cluster.Await(ctx, func() error {
		now, err := cluster.AskRaftStats(ctx, third.ClientAddr)
		if err == nil && now.Term == before.Term && victim.Running() {
			err = fmt.Errorf("server %d runs in term %d", victim.ID, now.Term)
		}
		return err
	}))
	if victim.Running() {
		must(t, c.AwaitReady(ctx))
		wantFilled(t, victim, "early")
		return
	}
	if tail := victim.LogTail(); victim.Process().ExitCode() != exitConfiguration || !strings.Contains(tail, "was acknowledged to the leader") ||
		!strings.Contains(tail, replaceCommand(victim)) || strings.Contains(tail, "panic") {
		t.Errorf("exit code %d: %s", victim.Process().ExitCode(), tail)
	}
	wantFilled(t, third, "early")
}

// flipByte flips one in the middle of what was written to a file.
func flipByte(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	b[len(bytes.TrimRight(b, "\x00"))/2] ^= 0x10
	must(t, os.WriteFile(name, b, 0o600))
}

// loseEnd makes a segment what a disk leaves that has confirmed a sync and then lost
// what was written last.
func loseEnd(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	must(t, err)
	end := len(bytes.TrimRight(b, "\x00"))
	clear(b[end/2/512*512 : end])
	must(t, os.WriteFile(name, b, 0o600))
}
