package identity

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func random() *rand.ChaCha8 { return rand.NewChaCha8([32]byte{1}) }

func TestBootNumberGrowsAndTheRestStays(t *testing.T) {
	fs := disktest.NewCrashable()
	var dir DirectoryID
	cluster := NewCluster(Constants{Ticks: Ticks{TickMs: 10}}, []Member{{ServerID: 4, RaftID: 5, Host: "h", LogPort: 1}})
	for boot := uint64(1); boot <= 3; boot++ {
		id, err := Open(fs, "data/4", 4, random())
		must(t, err)
		if boot == 1 {
			dir = id.DirectoryID()
			must(t, id.Form(cluster))
			if id.Form(cluster) == nil {
				t.Fatal("formed twice")
			}
		}
		if id.Boot() != boot || id.DirectoryID() != dir || id.file.ServerID != 4 || id.Cluster().ID != cluster.ID {
			t.Fatalf("boot %d: %+v", boot, id.file)
		}
		must(t, id.Close())
		fs = disktest.Crash(fs, rand.New(rand.NewPCG(boot, 0)))
	}
}

func TestRefusals(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	must(t, id.Close())
	if _, err := Open(fs, "data", 2, random()); err == nil || !strings.Contains(err.Error(), "belongs to server 1") {
		t.Errorf("another server's folder: %v", err)
	}
	b, err := disk.ReadFile(fs, "data/identity")
	must(t, err)
	for bit := range 8 * len(b) {
		bad := bytes.Clone(b)
		bad[bit/8] ^= 1 << (bit % 8)
		if _, err := decode(bad); err == nil {
			t.Fatalf("bit %d flipped: decoded", bit)
		}
	}
	must(t, fs.MkdirAll("lost/wal"))
	if _, err := Open(fs, "lost", 1, random()); err == nil || !strings.Contains(err.Error(), "no identity file") {
		t.Errorf("a log without an identity: %v", err)
	}
}

func TestFolderIsLocked(t *testing.T) {
	dir := t.TempDir()
	id, err := Open(disk.OS(), dir, 1, random())
	must(t, err)
	if _, err := Open(disk.OS(), dir, 1, random()); !errors.Is(err, ErrInUse) {
		t.Fatalf("second open: %v", err)
	}
	must(t, id.Close())
}

func TestClusterIDDependsOnTheFolders(t *testing.T) {
	a, b := Member{ServerID: 0, DirectoryID: DirectoryID{1}}, Member{ServerID: 1, DirectoryID: DirectoryID{2}}
	wiped := Member{ServerID: 1, DirectoryID: DirectoryID{3}}
	x, y := NewCluster(Constants{}, []Member{a, b}), NewCluster(Constants{}, []Member{b, a})
	if x.ID != y.ID || x.Members[0] != a {
		t.Fatal("the order of the members shows")
	}
	if z := NewCluster(Constants{}, []Member{a, wiped}); z.ID == x.ID {
		t.Fatal("a wiped folder makes the same cluster")
	}
}
