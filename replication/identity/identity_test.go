package identity

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

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
		if _, err := decode(bad); !errors.Is(err, ErrLost) {
			t.Fatalf("bit %d flipped: %v", bit, err)
		}
	}
	must(t, fs.MkdirAll("lost/wal"))
	if _, err := Open(fs, "lost", 1, random()); err == nil || !errors.Is(err, ErrLost) || !strings.Contains(err.Error(), "nobody knows whose log it is") {
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

// TestFloorIsKept: at once if it must be, soon otherwise, and never a later one.
func TestFloorIsKept(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	if id.Floor() != (Floor{}) {
		t.Fatalf("a new folder has floor %+v", id.Floor())
	}
	must(t, id.KeepFloor(Floor{Segment: 1, Term: 2, Index: 3}, time.Hour))
	must(t, id.KeepFloor(Floor{Segment: 1, Term: 2, Index: 2}, 0))
	must(t, id.KeepFloor(Floor{Segment: 2, Term: 3, Vote: 1, Index: 4}, time.Millisecond))
	must(t, id.Close())
	id, err = Open(disktest.Crash(fs, rand.New(rand.NewPCG(1, 0))), "data", 1, random())
	must(t, err)
	if want := (Floor{Segment: 2, Term: 3, Vote: 1, Index: 4}); id.Floor() != want {
		t.Fatalf("floor is %+v, want %+v", id.Floor(), want)
	}
}

// TestFloorFailsLater: what could not be written soon is reported by the next call.
func TestFloorFailsLater(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	fs.FailIn = 1
	must(t, id.KeepFloor(Floor{Index: 1}, time.Millisecond))
	id.soon.wg.Wait()
	if err := id.KeepFloor(Floor{Index: 2}, time.Millisecond); !errors.Is(err, disktest.ErrInjected) {
		t.Fatalf("after a failed write: %v", err)
	}
}

// TestVersion1IsRead: the file of a formed folder, as version 1 wrote it. It must have
// a log.
func TestVersion1IsRead(t *testing.T) {
	const line = `{"version":1,"serverId":0,"directoryId":"4bd09fd7bd3b0ac1d95ca7c5e4e8e4f5","boot":7,"cluster":{"id":9,"constants":{"memoryLimitBytes":67108864,"itemBytesMax":1048576,"noEvict":false,"tickMs":10,"electionTicks":20},"members":[{"serverId":0,"raftId":1,"directoryId":"4bd09fd7bd3b0ac1d95ca7c5e4e8e4f5","host":"localhost","logPort":0}]}}`
	fs := disktest.NewCrashable()
	must(t, disk.MakeDir(fs, "data"))
	must(t, disk.WriteFileAtomic(fs, "data/identity", fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum([]byte(line), castagnoli))))
	id, err := Open(fs, "data", 0, random())
	must(t, err)
	if id.Boot() != 8 || id.Cluster().ID != 9 || id.Floor() != (Floor{Segment: 1}) {
		t.Fatalf("boot %d, cluster %+v, floor %+v", id.Boot(), id.Cluster(), id.Floor())
	}
}

// TestVersion2IsRead: it knows no client ports.
func TestVersion2IsRead(t *testing.T) {
	const line = `{"version":2,"serverId":0,"directoryId":"4bd09fd7bd3b0ac1d95ca7c5e4e8e4f5","boot":7,"incarnations":[5],"cluster":{"id":9,"constants":{"memoryLimitBytes":67108864,"itemBytesMax":1048576,"noEvict":false,"tickMs":10,"electionTicks":20},"members":[{"serverId":0,"raftId":1,"directoryId":"4bd09fd7bd3b0ac1d95ca7c5e4e8e4f5","host":"localhost","logPort":11311}]},"floor":{"segment":3,"term":2,"vote":1,"index":9}}`
	fs := disktest.NewCrashable()
	must(t, disk.MakeDir(fs, "data"))
	must(t, disk.WriteFileAtomic(fs, "data/identity", fmt.Appendf(nil, "%s\n%08x\n", line, crc32.Checksum([]byte(line), castagnoli))))
	id, err := Open(fs, "data", 0, random())
	must(t, err)
	m := id.Cluster().Members[0]
	if id.Boot() != 8 || id.Floor() != (Floor{Segment: 3, Term: 2, Vote: 1, Index: 9}) || m.LogPort != 11311 || m.ClientPort != 0 {
		t.Fatalf("boot %d, member %+v, floor %+v", id.Boot(), m, id.Floor())
	}
}

// TestRosterIsKept, the latest one that has the data folder, without the cluster that others hold being changed.
func TestRosterIsKept(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	if err := id.KeepRoster(&Roster{Version: 1}); err != nil || id.Cluster() != nil {
		t.Fatalf("before the formation: %v, %+v", err, id.Cluster())
	}
	must(t, id.Form(NewCluster(Constants{}, []Member{{ServerID: 1, RaftID: 2}})))
	formed := id.Cluster()
	self := Member{ServerID: 1, RaftID: 3, DirectoryID: id.DirectoryID(), Learner: true}
	must(t, id.KeepRoster(&Roster{Version: 2, NextRaftID: 4, Members: []Member{self}}))
	must(t, id.KeepRoster(&Roster{Version: 1, Members: []Member{{ServerID: 1, RaftID: 3, DirectoryID: id.DirectoryID()}}}))
	must(t, id.KeepRoster(&Roster{Version: 3, NextRaftID: 4})) // it was removed
	must(t, id.Close())
	id, err = Open(disktest.Crash(fs, rand.New(rand.NewPCG(1, 0))), "data", 1, random())
	must(t, err)
	if r := id.Cluster().Roster; formed.Roster != nil || r.Version != 2 || r.NextRaftID != 4 || !r.Members[0].Learner {
		t.Fatalf("the roster is %+v", r)
	}
	must(t, id.Close())
}

// TestFileOfARaisedClusterIsNewer: an older program reads the file as long as the cluster
// version was not raised, and not after that. A peer's roster cannot lower it.
func TestFileOfARaisedClusterIsNewer(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	must(t, id.Form(NewCluster(Constants{}, []Member{{ServerID: 1, RaftID: 2}})))
	self := []Member{{ServerID: 1, RaftID: 2, DirectoryID: id.DirectoryID()}}
	for _, step := range []struct {
		version, raised uint64
		want            string // how the file begins
	}{
		{1, 0, `{"version":6,`}, {2, 1, `{"version":6,`}, {3, 2, `{"version":7,`}, {4, 0, `{"version":7,`}, {5, 3, `{"version":7,`},
	} {
		must(t, id.KeepRoster(&Roster{Version: step.version, Members: self, ClusterVersion: step.raised}))
		must(t, id.Close())
		b, err := disk.ReadFile(fs, "data/identity")
		must(t, err)
		if !strings.HasPrefix(string(b), step.want) {
			t.Errorf("of cluster version %d the file is %.40s, want %s", step.raised, b, step.want)
		}
		id, err = Open(fs, "data", 1, random())
		must(t, err)
	}
	if got := id.Cluster().ClusterVersion(); got != 3 {
		t.Errorf("the cluster version is %d", got)
	}
	must(t, id.Close())
}
