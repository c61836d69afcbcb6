package node

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/settings"
	"raftcached/replication"
	"raftcached/replication/identity"
	"raftcached/replication/peer"
	"raftcached/replication/snapshot"
	"raftcached/replication/wal"
)

// TestLostLogStopsTheNode: a formed folder without its log, or without what the log
// had at the last stop, is not started with, and not started over.
func TestLostLogStopsTheNode(t *testing.T) {
	for _, c := range []struct {
		name string
		harm func(t *testing.T, dir string)
		want string
	}{
		{"no log", func(t *testing.T, dir string) { must(t, os.RemoveAll(filepath.Join(dir, "wal"))) }, "all of its segments are missing"},
		{"no segments", func(t *testing.T, dir string) {
			for _, name := range segments(t, dir) {
				must(t, os.Remove(name))
			}
		}, "all of its segments are missing"},
		{"no last segment", func(t *testing.T, dir string) {
			names := segments(t, dir)
			last := names[len(names)-1]
			all, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
			must(t, err)
			for _, name := range all {
				if name >= last { // and what was prepared after it
					must(t, os.Remove(name))
				}
			}
		}, "there was a segment"},
		{"no identity", func(t *testing.T, dir string) { must(t, os.Remove(filepath.Join(dir, "identity"))) }, "nobody knows whose log it is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cfg := loneConfig(t)
			runNode(t, cfg, "C: set k 0 0 1\nC: v\nS: STORED\n")
			runNode(t, cfg, "C: delete k\nS: DELETED\n") // a start begins a segment
			c.harm(t, cfg.DataDir)
			for range 2 { // it stays so
				_, err := Open(t.Context(), cfg)
				if err == nil || !strings.Contains(err.Error(), c.want) ||
					!strings.Contains(err.Error(), "to start with an empty cache, move the folder away") {
					t.Fatalf("open: %v, want %q and what helps", err, c.want)
				}
				if !errors.As(err, new(*settings.Error)) {
					t.Fatalf("open: %v: whoever supervises the server would start it again", err)
				}
			}
		})
	}
}

// segments returns the names of the log's segments that were written to.
func segments(t *testing.T, dir string) (names []string) {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "wal", "*.wal"))
	must(t, err)
	for _, name := range all {
		b, err := os.ReadFile(name)
		must(t, err)
		if len(b) > 0 && b[0] != 0 {
			names = append(names, name)
		}
	}
	return names
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestRemedies: whatever makes a server of a cluster stop because of its data folder
// names the command that brings it back, and says that to start again does not help.
func TestRemedies(t *testing.T) {
	n := lookout(t, place4)
	n.cfg.ServerID = 2
	const want = "server 2 cannot go on with data folder "
	const help = "run `raftcachectl member replace 2` at another server, move the folder away, and start this server again"
	for _, err := range []error{
		replication.ErrNoSnapshot, replication.ErrOutdated, identity.ErrLost,
		&wal.LostError{Reason: "x"}, &wal.CorruptError{}, &wal.ForeignError{}, &snapshot.ForeignError{},
	} {
		got := n.pastError(fmt.Errorf("start: %w", err))
		if errors.Is(err, identity.ErrLost) {
			got = n.lost(err) // see identify
		}
		if !strings.Contains(got.Error(), want) || !strings.HasSuffix(got.Error(), help) || !errors.Is(got, err) || !errors.As(got, new(*settings.Error)) {
			t.Errorf("%T: %v", err, got)
		}
	}
	if err := n.pastError(errors.New("connection refused")); err.Error() != "connection refused" || errors.As(err, new(*settings.Error)) {
		t.Errorf("what is not the folder's fault is taken for it: %v", err)
	}
}

// TestWhatOthersSayOfTheFolderIsFinal, while the server runs, forms its cluster or asks to come in.
func TestWhatOthersSayOfTheFolderIsFinal(t *testing.T) {
	n := lookout(t, place4)
	n.cfg.DataDir = "folder"
	for _, c := range []struct {
		err      error
		want     string // while it runs
		starting bool   // it may be said before, too
	}{
		{&peer.RemovedError{Sentence: "removed"}, `removed (data folder "folder")`, true},
		{&peer.OutdatedError{Sentence: "a copy"}, "a copy", true},
		{&peer.LaterError{Sentence: "run a newer one"}, "run a newer one", false},
	} {
		if got := n.pastError(c.err); got.Error() != c.want || !errors.Is(got, c.err) || !errors.As(got, new(*settings.Error)) {
			t.Errorf("%T while it runs: %v", c.err, got)
		}
		joining := fmt.Errorf("join the cluster: %w", c.err)
		if got := orSettings(joining); got.Error() != joining.Error() || !errors.Is(got, c.err) || errors.As(got, new(*settings.Error)) != c.starting {
			t.Errorf("%T when it starts: %v", c.err, got)
		}
	}
}
