package node

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"raftcached/engine"
	"raftcached/internal/settings"
	"raftcached/replication/identity"
)

// warnings is what a node's logger was told at level Warn.
type warnings struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (w *warnings) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(b)
}

func (w *warnings) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

// String returns what was told since the last call.
func (w *warnings) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	defer w.text.Reset()
	return w.text.String()
}

// runNode opens a node, plays steps and closes it.
func runNode(t *testing.T, cfg Config, steps string) {
	t.Helper()
	n, err := Open(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	play(t, n, steps)
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestOtherLimitsAreAWarning: once formed, the cluster's limits count, whatever
// a node is configured with.
func TestOtherLimitsAreAWarning(t *testing.T) {
	var warned warnings
	cfg := loneConfig(t)
	cfg.Logger = warned.logger()
	const tooLarge = "C: set large 0 0 1500000\nc: <1500000*x>\\r\\n\nS: SERVER_ERROR object too large for cache\n"
	runNode(t, cfg, tooLarge)
	runNode(t, cfg, tooLarge)
	if got := warned.String(); got != "" {
		t.Errorf("a node with the cluster's limits warns: %s", got)
	}

	other := cfg
	other.Limits = engine.Limits{MemoryBytes: 128 << 20, ItemBytesMax: 2 << 20, NoEvict: true}
	other.Leases = "all"
	n, err := Open(t.Context(), other)
	if err != nil {
		t.Fatal(err)
	}
	play(t, n, tooLarge)
	if got := n.engine.Stats().LimitMaxBytes; got != 64<<20 || n.cfg.Limits.NoEvict {
		t.Errorf("memory limit is %d, evictions disabled: %v; want what the cluster was formed with", got, n.cfg.Limits.NoEvict)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	got := warned.String()
	for _, want := range []string{
		"memory limit has no effect: change it with the command cache_memlimit", `configured=134217728 "formed with"=67108864`,
		"item limit has no effect: it was set at formation", `configured=2097152 "formed with"=1048576`,
		"evictions are disabled was set at formation", `configured=true "formed with"=false`,
		"leases have no effect: change those of the cluster with `raftcachectl leases`", "configured=all cluster=off",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("warnings lack %q: %s", want, got)
		}
	}
}

// TestClusterSettingsCount for a server that joins by an address: a sentence says which.
func TestClusterSettingsCount(t *testing.T) {
	ours := identity.Constants{Limits: identity.Limits{MemoryLimitBytes: 64 << 20, ItemBytesMax: 1 << 20}, Ticks: identity.Ticks{TickMs: 10, ElectionTicks: 20}}
	if got := differences(ours, ours); len(got) != 0 {
		t.Errorf("without a difference: %q", got)
	}
	theirs := ours
	theirs.MemoryLimitBytes, theirs.TickMs = 128<<20, 20
	if got := strings.Join(differences(ours, theirs), ", "); got != "memory limit in bytes 134217728, not 67108864, tick in ms 20, not 10" {
		t.Errorf("it says %q", got)
	}
}

// TestFolderIsStartedTwice: what is said names the folder, and not a port that both have.
func TestFolderIsStartedTwice(t *testing.T) {
	cfg := loneConfig(t)
	cfg.AdminAddr = "127.0.0.1:0"
	n := openNode(t, cfg)
	cfg.AdminAddr = n.admin.Addr().String()
	_, err := Open(t.Context(), cfg)
	if err == nil || !strings.Contains(err.Error(), cfg.DataDir) || strings.Contains(err.Error(), cfg.AdminAddr) {
		t.Errorf("it says %v", err)
	}
}

// TestOtherTicksAreRefused: time is counted by them.
func TestOtherTicksAreRefused(t *testing.T) {
	cfg := loneConfig(t)
	runNode(t, cfg, "C: verbosity 0\nS: OK\n")
	cfg.ElectionTicks = 40
	_, err := Open(context.Background(), cfg)
	var wrong *settings.Error
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "10 ms and 20") || !strings.Contains(err.Error(), "10 ms and 40") {
		t.Fatalf("other ticks: %v, want both in a sentence", err)
	}
}

// TestMemoryLimitIsInTheLog: cache_memlimit through any node holds on all, and
// after a restart with any configuration.
func TestMemoryLimitIsInTheLog(t *testing.T) {
	nodes := openCluster(t)
	_, follower := awaitLeader(t, nodes)
	play(t, follower, "C: cache_memlimit 7\nS: MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m\nC: cache_memlimit 100\nS: OK\n")
	wantLimit := func() {
		t.Helper()
		for _, n := range nodes {
			play(t, n, "C: get k\nS: END\n") // what was acknowledged is applied
			if got := n.engine.Stats().LimitMaxBytes; got != 100<<20 {
				t.Errorf("server %d has a memory limit of %d, want 100 MiB", n.cfg.ServerID, got)
			}
		}
	}
	wantLimit()

	var warned warnings
	cfg := follower.cfg
	if err := follower.Close(); err != nil {
		t.Fatal(err)
	}
	cfg.Limits.MemoryBytes, cfg.Logger, cfg.PeerListener = 128<<20, warned.logger(), nil
	nodes[cfg.ServerID] = openNode(t, cfg)
	awaitLeader(t, nodes)
	wantLimit()
	if got := warned.String(); !strings.Contains(got, "cache_memlimit") {
		t.Errorf("another memory limit gives no warning: %q", got)
	}
}

// TestFolderErrors: a full or broken disk is a failure; a folder that may not be
// written is a matter of the configuration.
func TestFolderErrors(t *testing.T) {
	for errno, configuration := range map[syscall.Errno]bool{
		syscall.ENOSPC: false, syscall.EIO: false, syscall.EMFILE: false, syscall.EDQUOT: false,
		syscall.EACCES: true, syscall.ENOTDIR: true, syscall.EROFS: true,
	} {
		err := folderError(fmt.Errorf("write %q: %w", "identity", &os.PathError{Op: "open", Path: "identity", Err: errno}))
		if _, is := errors.AsType[*settings.Error](err); is != configuration {
			t.Errorf("%v is a mistake of the configuration: %v, want %v", errno, is, configuration)
		}
	}
	if _, is := errors.AsType[*settings.Error](folderError(identity.ErrInUse)); !is {
		t.Error("a folder in use is no mistake of the configuration")
	}
}
