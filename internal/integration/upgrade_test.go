package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
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
			ws.awaitProgress(t, 200)
			must(t, s.Stop(ctx))
			s.Use(program)
			must(t, s.Start())
			must(t, s.AwaitReady(ctx)) // it has answered a linearizable read: it has caught up
			if runs, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", s.Process().Pid())); err != nil || runs != program {
				t.Errorf("server %d runs %q, %v, want %q", s.ID, runs, err, program)
			}
		}
	}
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
