package node

import (
	"os"
	"testing"

	"raftcached/replication/disk"
)

// TestFilesOfAllPorts: those who keep the admin port and the one for probes busy leave the
// log its files.
func TestFilesOfAllPorts(t *testing.T) {
	const most = 64 + 1 // connections, and one to which one of them gives way
	alone := loneConfig(t)
	for port, change := range map[string]func(*Config){
		"the admin port":  func(c *Config) { c.AdminAddr = "127.0.0.1:0" },
		"--health-listen": func(c *Config) { c.HealthAddr = "127.0.0.1:0" },
	} {
		with := alone
		change(&with)
		if more := with.otherFiles() - alone.otherFiles(); more < most {
			t.Errorf("%s adds %d files, want %d at least", port, more, most)
		}
	}
}

// TestFilesOfLoops: event loops have no more files open than are set aside for them, and each
// may have one more.
func TestFilesOfLoops(t *testing.T) {
	const few, many = 1, 17
	cfg := loneConfig(t)
	cfg.Disk, cfg.DataDir = disk.NewMemory(), "in memory"
	files := func(loops int) int {
		cfg.Server.Loops = loops
		n, err := Open(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		open, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Close(); err != nil {
			t.Fatal(err)
		}
		return len(open)
	}
	files(few) // what the process opens once
	open := files(many) - files(few)
	cfg.Server.Loops = many
	aside := cfg.otherFiles()
	cfg.Server.Loops = few
	aside -= cfg.otherFiles()
	if need := open + many - few; aside < uint64(need) {
		t.Errorf("%d files are set aside for %d loops, want %d: %d are open", aside, many-few, need, open)
	}
}
