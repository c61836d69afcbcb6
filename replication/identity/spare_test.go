package identity

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

// TestStartOnAFullDisk: a start counts although nothing can be allocated, because room for
// it was kept. Without that the error says what is missing, and the folder is as it was.
func TestStartOnAFullDisk(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	must(t, id.Close())
	fs.SetFull(true)
	id, err = Open(fs, "data", 1, random())
	must(t, err)
	if id.Boot() != 2 {
		t.Fatalf("start %d, want 2", id.Boot())
	}
	must(t, id.Close())
	fs = disktest.Crash(fs, rand.New(rand.NewPCG(1, 0)))
	fs.SetFull(true)
	if _, err := Open(fs, "data", 1, random()); !disk.IsFull(err) {
		t.Fatalf("a start without any room: %v", err)
	}
	fs.SetFull(false)
	for want := uint64(3); want < 6; want++ { // with room again there is a spare again
		id, err = Open(fs, "data", 1, random())
		must(t, err)
		if id.Boot() != want {
			t.Fatalf("start %d, want %d", id.Boot(), want)
		}
		must(t, id.Close())
	}
	fs.SetFull(true)
	_, err = Open(fs, "data", 1, random())
	must(t, err)
}

// TestCrashWhileTheSpareIsUsed lets each step of a start on a full disk fail in turn, and
// crashes: the identity is the one from before, or the one of the start.
func TestCrashWhileTheSpareIsUsed(t *testing.T) {
	seen := map[uint64]int{}
	for fault := range 10 * 20 {
		failIn, seed := 1+fault/20, uint64(fault%20)
		fs := disktest.NewCrashable()
		id, err := Open(fs, "data", 1, random())
		must(t, err)
		must(t, id.Close())
		must(t, fs.SyncDir("data")) // the spare's name
		fs.SetFull(true)
		fs.FailIn = failIn
		_, err = Open(fs, "data", 1, random())
		if err != nil && !errors.Is(err, disktest.ErrInjected) && !strings.Contains(err.Error(), "no space") {
			t.Fatal(err)
		}
		after := disktest.Crash(fs, rand.New(rand.NewPCG(seed, uint64(failIn))))
		again, openErr := Open(after, "data", 1, random())
		must(t, openErr)
		boot := again.Boot() - 1
		if boot != 2 && (err == nil || boot != 1) {
			t.Fatalf("fault %d, seed %d: the start said %v, and the folder counts %d starts", failIn, seed, err, boot)
		}
		seen[boot]++
	}
	if seen[1] < 10 || seen[2] < 10 {
		t.Fatalf("starts counted after the crash: %v", seen)
	}
}
