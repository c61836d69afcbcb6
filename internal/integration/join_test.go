package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// announce makes room for a server of Cluster.Add.
func announce(ctx context.Context, t *testing.T, c *cluster.Cluster, s *cluster.Server) {
	t.Helper()
	awaitExit(ctx, t, ctlOf(ctx, t, c), 0, append(s.Announcement(), "--no-wait")...)
}

// awaitVote waits until each of the servers is a member with a vote, and no folder is
// retired.
func awaitVote(ctx context.Context, t *testing.T, asked *cluster.Server, servers int) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		code, body := probe(asked, "/members")
		if code != 200 || strings.Count(body, `"folder"`) != servers || strings.Contains(body, `"learner"`) || strings.Contains(body, `"retired"`) {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	}))
}

// keepWriting stores items at a server until the end of the test or stop, which returns
// how many were acknowledged.
func keepWriting(t *testing.T, s *cluster.Server, prefix string) (stop func() int) {
	t.Helper()
	client := clientOf(t, s)
	done, count := make(chan struct{}), make(chan int, 1)
	go func() {
		n := 0
		defer func() { count <- n }()
		for {
			select {
			case <-done:
				return
			default:
			}
			if err := client.Set(&memcache.Item{Key: fmt.Sprint(prefix, n), Value: []byte("v")}); err != nil {
				t.Errorf("set %s%d: %v", prefix, n, err)
				return
			}
			n++
		}
	}()
	return func() int {
		close(done)
		return <-count
	}
}

// wantWritten reads what keepWriting has stored, at a server.
func wantWritten(t *testing.T, s *cluster.Server, prefix string, count int) {
	t.Helper()
	client := clientOf(t, s)
	for at := 0; at < count; at += 100 {
		var keys []string
		for i := at; i < min(count, at+100); i++ {
			keys = append(keys, fmt.Sprint(prefix, i))
		}
		if found, err := client.GetMulti(keys); err != nil || len(found) != len(keys) {
			t.Fatalf("server %d has %d of %d items from %s%d on: %v", s.ID, len(found), len(keys), prefix, at, err)
		}
	}
}

// TestFourthServer is announced, killed while it comes in, and gets a vote, under load.
// Before it is announced it is refused.
func TestFourthServer(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	fourth := c.Add()
	must(t, fourth.Start())
	<-fourth.Process().Done()
	if tail := fourth.LogTail(); !strings.Contains(tail, "run `raftcachectl member add 3` first") || fourth.Process().ExitCode() != 78 {
		t.Errorf("exit code %d: %s", fourth.Process().ExitCode(), tail)
	}
	stop := keepWriting(t, c.Servers[0], "k")
	announce(ctx, t, c, fourth)
	must(t, fourth.Start())
	must(t, cluster.Await(ctx, func() error {
		_, err := os.Stat(filepath.Join(fourth.DataDir, "wal"))
		return err
	}))
	must(t, fourth.Kill())
	must(t, fourth.Start())
	must(t, fourth.AwaitReady(ctx))
	awaitVote(ctx, t, c.Servers[0], 4)
	count := stop()
	must(t, c.AwaitEqual(ctx))
	wantWritten(t, fourth, "k", count)

	// Its folder knows the rest.
	must(t, fourth.Stop(ctx))
	must(t, fourth.StartWith("-id", "3", "-data", fourth.DataDir, "-admin-listen", fourth.AdminAddr))
	must(t, fourth.AwaitReady(ctx))
	wantWritten(t, fourth, "k", count)
	if got := fourth.LogTail(); !strings.Contains(got, "members=0,1,2,3") || strings.Contains(got, `peers=""`) || strings.Contains(got, "of=0") {
		t.Errorf("its log: %s", got)
	}
}

// TestLoneBecomesThree under load, with the documented commands.
func TestLoneBecomesThree(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	stop := keepWriting(t, c.Servers[0], "k")
	for range 2 {
		s := c.Add()
		announce(ctx, t, c, s)
		must(t, s.Start())
		must(t, s.AwaitReady(ctx))
		awaitVote(ctx, t, s, len(c.Servers))
	}
	count := stop()
	must(t, c.AwaitEqual(ctx))
	must(t, c.Servers[0].Kill()) // the other two go on
	must(t, c.AwaitServing(ctx, 1, 2))
	wantWritten(t, c.Servers[2], "k", count)
	must(t, c.Servers[0].Start())
	must(t, c.AwaitReady(ctx))

	// Its server.json lists it alone. Without its folder it must not go on as another cluster.
	must(t, c.Servers[0].Kill())
	must(t, os.RemoveAll(c.Servers[0].DataDir))
	wantRefused(ctx, t, c.Servers[0], "is not the one that is a member of the cluster", replaceCommand(c.Servers[0]))
	wantWritten(t, c.Servers[1], "k", count)
	awaitExit(ctx, t, ctlOf(ctx, t, c), 0, "--server", c.Servers[1].AdminAddr, "member", "replace", "0", "--no-wait", "--yes") // nobody looks for it any more
	must(t, c.Servers[0].Start())
	must(t, c.Servers[0].AwaitReady(ctx))
	wantWritten(t, c.Servers[0], "k", count)
}

// TestDeadServerIsReplaced by an empty folder, once its operator says so. The folder
// that comes back in the end is told.
func TestDeadServerIsReplaced(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, _ := victimOf(ctx, t, c)
	fill(t, victim, "early")
	must(t, victim.Kill())
	aside := victim.DataDir + ".aside"
	must(t, os.Rename(victim.DataDir, aside))
	wantRefused(ctx, t, victim, replaceCommand(victim))
	awaitExit(ctx, t, ctlOf(ctx, t, c), 0, "member", "replace", strconv.Itoa(victim.ID), "--yes", "--no-wait")
	must(t, victim.Start())
	must(t, victim.AwaitReady(ctx))
	awaitVote(ctx, t, leader, 3)
	fill(t, victim, "late")
	wantFilled(t, victim, "early", "late")
	must(t, c.AwaitEqual(ctx))

	must(t, victim.Stop(ctx))
	must(t, os.RemoveAll(victim.DataDir))
	must(t, os.Rename(aside, victim.DataDir))
	wantRefused(ctx, t, victim, fmt.Sprintf("the data folder of server %d was replaced by folder", victim.ID), "`raftcachectl member add`")
}

// TestFolderIsLostWhileOthersAreDown: a server that is listed with others begins nothing
// without them. What was acknowledged is there when they come back.
func TestFolderIsLostWhileOthersAreDown(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, third := victimOf(ctx, t, c)
	fill(t, victim, "early")
	for _, s := range c.Servers {
		must(t, s.Kill())
	}
	must(t, os.RemoveAll(victim.DataDir))
	must(t, victim.Start())
	must(t, cluster.Await(ctx, func() error {
		if code, body := probe(victim, "/readyz"); !strings.Contains(body, "it waits until it knows its cluster") {
			return fmt.Errorf("%d %s", code, body)
		}
		return nil
	}))
	must(t, leader.Start())
	must(t, third.Start())
	select {
	case <-victim.Process().Done():
	case <-ctx.Done():
		t.Fatalf("server %d goes on: %s", victim.ID, victim.LogTail())
	}
	wantRefused(ctx, t, victim, replaceCommand(victim))
	wantFilled(t, leader, "early")
	fill(t, third, "late")
	wantFilled(t, leader, "late")
}

// TestEmptyFolderReplaces what its server was, by itself, where the configuration lets it.
func TestEmptyFolderReplaces(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"replaceEmpty": true}})
	victim, leader, _ := victimOf(ctx, t, c)
	fill(t, victim, "early")
	must(t, victim.Kill())
	must(t, os.RemoveAll(victim.DataDir))
	must(t, victim.Start())
	must(t, victim.AwaitReady(ctx))
	awaitVote(ctx, t, leader, 3)
	wantFilled(t, victim, "early")
	must(t, c.AwaitEqual(ctx))
}

// TestRemovedServerEnds with a sentence, at its removal and at each start after it.
func TestRemovedServerEnds(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, third := victimOf(ctx, t, c)
	awaitExit(ctx, t, ctlOf(ctx, t, c), 0, "member", "remove", strconv.Itoa(victim.ID), "--yes")
	select {
	case <-victim.Process().Done():
	case <-ctx.Done():
		t.Fatal("it goes on")
	}
	want := fmt.Sprintf("server %d was removed from the cluster: to bring it back, remove its data folder, run `raftcachectl member add %d`", victim.ID, victim.ID)
	if tail := victim.LogTail(); victim.Process().ExitCode() != exitConfiguration || !strings.Contains(tail, want) {
		t.Errorf("exit code %d: %s", victim.Process().ExitCode(), tail)
	}
	wantRefused(ctx, t, victim, want)
	wantNoLine(t, victim, `(?s)was removed from the cluster: to bring it back.*msg=serving`)
	fill(t, leader, "late")
	wantFilled(t, third, "late")
}
