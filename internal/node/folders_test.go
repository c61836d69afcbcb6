package node

import (
	"path/filepath"
	"sync"
	"testing"

	"raftcached/replication/disk"
)

// countsSyncs counts how often each folder is synced.
type countsSyncs struct {
	disk.FS
	mu    sync.Mutex
	syncs map[string]int
}

func (c *countsSyncs) SyncDir(dir string) error {
	c.mu.Lock()
	c.syncs[dir]++
	c.mu.Unlock()
	return c.FS.SyncDir(dir)
}

// TestStartSyncsEachFolderOnce: the folders that the data folder is in are synced once by
// a start, up to the root: a sync of a folder waits for the file system's journal.
func TestStartSyncsEachFolderOnce(t *testing.T) {
	cfg := loneConfig(t)
	counts := &countsSyncs{FS: disk.OS(), syncs: map[string]int{}}
	cfg.Disk = counts
	cfg.DataDir = filepath.Join(cfg.DataDir, "a", "b")
	runNode(t, cfg, "C: set k 0 0 1\nC: v\nS: STORED\n")
	for dir := filepath.Dir(cfg.DataDir); ; dir = filepath.Dir(dir) {
		if n := counts.syncs[dir]; n != 1 {
			t.Errorf("folder %q was synced %d times, want once", dir, n)
		}
		if dir == filepath.Dir(dir) {
			break
		}
	}
	if counts.syncs[cfg.DataDir] == 0 {
		t.Errorf("the data folder was not synced: %v", counts.syncs)
	}
}
