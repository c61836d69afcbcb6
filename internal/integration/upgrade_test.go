package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"raftcached/internal/cluster"
)

// upgradeFrom is an earlier commit of this repository whose formats, on disk and between
// servers, are those of today: docs/upgrade.md lists them. When one of them changes so
// that the earlier program cannot go on with it, this becomes the commit before, and the
// way back is taken out of the test and of the document.
const upgradeFrom = "425eebf726fbdd0ee03c770527a5bdd284d17b42"

// TestRollingUpgrade replaces the program of three servers, one by one under load, by
// this tree's and then by the earlier one again. No write that was acknowledged is
// missing afterwards, and no request is lost to a client that tries once more on another
// server.
func TestRollingUpgrade(t *testing.T) {
	if underRace {
		t.Skip("builds another program: without the race detector only")
	}
	t.Parallel()
	earlier := buildEarlier(t)
	ctx, c := startCluster(t, cluster.Options{Executable: earlier})
	ws := startWriters(t, c, 2)
	for _, program := range []string{executable, earlier} {
		for _, s := range c.Servers {
			replaceProgram(ctx, t, c, ws, s, program)
		}
	}
	wantNothingLost(ctx, t, c, ws)
}

// replaceProgram replaces a server's program under load.
func replaceProgram(ctx context.Context, t *testing.T, c *cluster.Cluster, ws *writers, s *cluster.Server, program string, args ...string) {
	t.Helper()
	ws.awaitProgress(t, 200)
	must(t, s.Stop(ctx))
	s.Use(program)
	must(t, s.StartWith(append([]string{"-config", c.Config, "-id", strconv.Itoa(s.ID)}, args...)...))
	must(t, s.AwaitReady(ctx)) // it has answered a linearizable read: it has caught up
	if runs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.Process().Pid())); err != nil || runs != program {
		t.Errorf("server %d runs %q, %v, want %q", s.ID, runs, err, program)
	}
}

// wantNothingLost ends the load. What was acknowledged is everywhere.
func wantNothingLost(ctx context.Context, t *testing.T, c *cluster.Cluster, ws *writers) {
	t.Helper()
	ws.awaitProgress(t, 200)
	ws.finish()
	for _, err := range ws.lost {
		t.Errorf("lost: %v", err)
	}
	must(t, c.AwaitEqual(ctx))
	for key, want := range ws.last {
		wantEverywhere(t, clientsOf(t, c), key, want)
	}
}

// wantVersion waits until a server says that the cluster has a version.
func wantVersion(ctx context.Context, t *testing.T, s *cluster.Server, version int) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		code, body := probe(s, "/status")
		if code != 200 || !strings.Contains(strings.ReplaceAll(body, " ", ""), fmt.Sprintf(`"clusterVersion":%d,`, version)) {
			return fmt.Errorf("%d %s, want cluster version %d", code, body, version)
		}
		return nil
	}))
}

// TestUpgradeToANewClusterVersion goes, under load, from the earlier program to this one and
// on to one that knows a further cluster version and speaks a further one between servers:
// this tree, built with a tag. Servers of all three are in one cluster on the way. As long as
// one server holds the version back there is a way back, which is taken. Without that the
// version rises by itself, a majority of servers that were killed keep it, and the other programs do
// not start any more: they say what to run.
func TestUpgradeToANewClusterVersion(t *testing.T) {
	takesLong(t)
	if underRace {
		t.Skip("builds other programs: without the race detector only")
	}
	t.Parallel()
	earlier := buildEarlier(t)
	ctx, c := startCluster(t, cluster.Options{Executable: earlier})
	next, err := cluster.Build(ctx, t.TempDir(), "./cmd/raftcached", append([]string{"-tags=raftcached_next"}, buildFlags...)...)
	must(t, err)
	ws := startWriters(t, c, 2)
	a, b, last := c.Servers[0], c.Servers[1], c.Servers[2]
	const hold = "-cluster-version-max=1"

	replaceProgram(ctx, t, c, ws, a, executable)
	replaceProgram(ctx, t, c, ws, b, next) // now there are three
	replaceProgram(ctx, t, c, ws, a, next)
	replaceProgram(ctx, t, c, ws, last, next, hold)
	ws.awaitProgress(t, 200)
	for _, s := range c.Servers {
		wantVersion(ctx, t, s, 1)
	}
	replaceProgram(ctx, t, c, ws, a, earlier) // and back
	replaceProgram(ctx, t, c, ws, b, executable)
	replaceProgram(ctx, t, c, ws, last, executable)
	for _, s := range c.Servers { // and forth
		replaceProgram(ctx, t, c, ws, s, next)
	}
	for _, s := range c.Servers {
		wantVersion(ctx, t, s, 2)
	}
	wantNothingLost(ctx, t, c, ws)

	for _, s := range []*cluster.Server{a, last} {
		must(t, s.Kill())
		must(t, s.Start())
	}
	must(t, c.AwaitReady(ctx))
	must(t, last.Stop(ctx))
	for _, older := range []struct{ program, says string }{
		{executable, "the cluster has version 2, this program knows 1: run a newer raftcached"},
		{earlier, "version is 7, this program knows 6: run a newer raftcached"},
	} {
		last.Use(older.program)
		wantConfigured(ctx, t, last, []string{"-config", c.Config, "-id", strconv.Itoa(last.ID)}, older.says)
	}
	last.Use(next)
	must(t, last.Start())
	must(t, c.AwaitReady(ctx))
	wantVersion(ctx, t, last, 2)
}

// buildEarlier builds the program of the earlier commit. Without the history of the
// repository, as in an archive of the source, the test is skipped.
func buildEarlier(t *testing.T) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	dir := t.TempDir()
	source, archive := filepath.Join(dir, "source"), filepath.Join(dir, "source.tar")
	must(t, os.Mkdir(source, 0o700))
	if output, err := exec.CommandContext(ctx, "git", "-C", "../..", "archive", "-o", archive, upgradeFrom).CombinedOutput(); err != nil {
		t.Skipf("needs git and the repository's history with commit %s: %v\n%s", upgradeFrom, err, output)
	}
	for _, args := range [][]string{
		{"tar", "-xf", archive, "-C", source},
		{"go", "build", "-C", source, "-trimpath", "-buildvcs=false", "-o", filepath.Join(dir, "raftcached"), "./cmd/raftcached"}, // -trimpath: the build cache knows it next time
	} {
		cmd := exec.CommandContext(ctx, args[0], args[1:]...)
		cmd.Env = append(os.Environ(), "GOWORK=off")
		if output, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, output)
		}
	}
	return filepath.Join(dir, "raftcached")
}
