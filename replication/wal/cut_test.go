package wal

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

// tornSegment returns the only segment of a log, as it was reserved, with a last write of
// several sectors; from where to where that reaches; and the contents before it.
func tornSegment(t *testing.T) (b []byte, from, to int, confirmed string, last Write) {
	t.Helper()
	fs := disktest.NewCrashable()
	l := open(t, fs)
	must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 3), Sync: true}))
	from, confirmed = int(l.segments[0].size), contents(t, l)
	last = Write{HardState: hard(1, 1, 3), Entries: entries(1, 4, 60), Sync: true}
	must(t, l.Save(last))
	to = int(l.segments[0].size)
	must(t, l.Close())
	b, err := disk.ReadFile(fs, segmentName("wal", 1))
	must(t, err)
	return b[:min(len(b), to+4*sectorBytes)], from, to, confirmed, last
}

// lose returns a segment without some sectors of its last write, one for each bit. What was
// never written is zeros.
func lose(b []byte, from, to int, lost uint64) []byte {
	b = bytes.Clone(b)
	for at := from; at < to; at += sectorBytes - at%sectorBytes {
		if lost&1 != 0 {
			clear(b[at:min(to, at+sectorBytes-at%sectorBytes)])
		}
		lost >>= 1
	}
	return b
}

// onDisk is a file system that holds one segment, durably.
func onDisk(t *testing.T, b []byte) *disktest.FS {
	t.Helper()
	fs := disktest.NewCrashable()
	must(t, fs.MkdirAll("wal"))
	must(t, disk.WriteFileAtomic(fs, segmentName("wal", 1), b))
	return fs
}

// TestCutLeavesATornEnd: whatever a crash leaves of a torn end while that is cut off, the
// next start reads the same log. So does one that has only the first bytes of it.
func TestCutLeavesATornEnd(t *testing.T) {
	b, from, to, confirmed, last := tornSegment(t)
	allowed := outcomes(confirmed, last)
	rng := rand.New(rand.NewPCG(1, 1))
	partly := 0
	for range 60 {
		torn := lose(b, from, to, rng.Uint64()|1<<rng.IntN((to-from)/sectorBytes))
		l := open(t, onDisk(t, torn))
		want, valid := contents(t, l), int(l.segments[0].size)
		must(t, l.Close())
		if !slices.Contains(allowed, want) {
			t.Fatalf("recovered %s", want)
		}
		for size := valid; size < len(torn); size += 1 + rng.IntN(40) {
			l, err := Open(onDisk(t, torn[:size]), "wal", testOptions)
			if err != nil {
				t.Fatalf("cut to %d bytes, of which %d are valid: %v", size, valid, err)
			}
			if got := contents(t, l); got != want {
				t.Fatalf("cut to %d bytes, of which %d are valid: recovered\n%s\nwant\n%s", size, valid, got, want)
			}
			must(t, l.Close())
			partly++
		}
	}
	if partly < 1000 {
		t.Fatalf("only %d parts were tried", partly)
	}
}

// TestCrashWhileALogOpens lets each write, cut and sync of a start fail in turn, with room
// on the disk and without, and crashes: the next start reads the same log.
func TestCrashWhileALogOpens(t *testing.T) {
	b, from, to, _, _ := tornSegment(t)
	failed := 0
	for fault := range 12 * 20 {
		failIn, seed := 1+fault/20, uint64(fault%20)
		rng := rand.New(rand.NewPCG(uint64(failIn), seed))
		torn := lose(b, from, to, rng.Uint64()|1)
		l := open(t, onDisk(t, torn))
		want := contents(t, l)
		must(t, l.Close())

		fs := onDisk(t, torn)
		fs.SetFull(rng.IntN(2) == 0)
		fs.FailIn = failIn
		l, err := Open(fs, "wal", testOptions)
		if err == nil {
			_ = l.Save(Write{HardState: hard(9, 9, 0)}) // may fail, or find no room
		} else if failed++; !errors.Is(err, disktest.ErrInjected) {
			t.Fatal(err)
		}
		again := disktest.Crash(fs, rng)
		r, err := Open(again, "wal", testOptions)
		if err != nil {
			t.Fatalf("fault %d, seed %d: %v", failIn, seed, err)
		}
		if got := contents(t, r); got != want && r.hard.GetTerm() != 9 {
			t.Fatalf("fault %d, seed %d: recovered\n%s\nwant\n%s", failIn, seed, got, want)
		}
		must(t, r.Save(Write{Entries: entries(9, 4, 5), Sync: true}))
		must(t, r.Close())
	}
	if failed < 40 {
		t.Fatalf("only %d starts failed", failed)
	}
}

// TestOpenOnAFullDisk: a log with a torn end opens without any room, its end is cut, and
// it can be read. It takes a write as soon as there is room, and is not compacted before.
func TestOpenOnAFullDisk(t *testing.T) {
	b, from, to, confirmed, _ := tornSegment(t)
	fs := onDisk(t, lose(b, from, to, 1))
	for range 3 { // a supervisor tries again
		fs.SetFull(true)
		l := open(t, fs)
		if got := contents(t, l); got != confirmed {
			t.Fatalf("recovered\n%s\nwant\n%s", got, confirmed)
		}
		left, err := disk.ReadFile(fs, segmentName("wal", 1))
		must(t, err)
		if len(left) != from {
			t.Fatalf("the segment has %d bytes, want it cut to %d", len(left), from)
		}
		w := Write{HardState: hard(2, 1, 3), Entries: entries(2, 4, 5), Sync: true}
		if err := l.Save(w); !errors.Is(err, ErrFull) {
			t.Fatalf("a write without room: %v, want %v", err, ErrFull)
		}
		must(t, l.Compact(2))
		if got := contents(t, l); got != confirmed {
			t.Fatalf("after a compaction without room\n%s\nwant\n%s", got, confirmed)
		}
		must(t, l.Close())
	}
	l := open(t, fs)
	fs.SetFull(false)
	must(t, l.Save(Write{HardState: hard(2, 1, 3), Entries: entries(2, 4, 5), Sync: true}))
	must(t, l.Compact(2))
	want := contents(t, l)
	crashed := disktest.Crash(fs, rand.New(rand.NewPCG(1, 1)))
	if got := contents(t, open(t, crashed)); got != want || l.index.base != 2 {
		t.Fatalf("recovered\n%s\nwant\n%s", got, want)
	}
}

// TestHeadlessSegment: a last segment whose header never came is removed, and the next
// one gets its number. The segment before it was synced: damage in it stays damage.
func TestHeadlessSegment(t *testing.T) {
	for _, junk := range []int{1, 40, sectorBytes, 3 * sectorBytes} {
		fs := disktest.NewCrashable()
		l := open(t, fs)
		must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 3), Sync: true}))
		want := contents(t, l)
		must(t, l.Close())
		must(t, disk.WriteFileAtomic(fs, segmentName("wal", 2), bytes.Repeat([]byte{1}, junk)))
		fs.SetFull(true)
		l = open(t, fs)
		if got := contents(t, l); got != want {
			t.Fatalf("recovered %s, want %s", got, want)
		}
		fs.SetFull(false)
		must(t, l.Save(Write{HardState: hard(2, 1, 0), Sync: true}))
		if seq := l.LastSegment(); seq != 2 {
			t.Fatalf("writes go to segment %d, want 2", seq)
		}
		must(t, l.Close())

		b, err := disk.ReadFile(fs, segmentName("wal", 1))
		must(t, err)
		harmed := onDisk(t, append(b[:len(b)-20:len(b)-20], make([]byte, 20)...)) // as if it was torn
		must(t, disk.WriteFileAtomic(harmed, segmentName("wal", 2), bytes.Repeat([]byte{1}, junk)))
		var corrupt *CorruptError
		if _, err := Open(harmed, "wal", testOptions); !errors.As(err, &corrupt) {
			t.Fatalf("open a log whose first segment is damaged: %v", err)
		}
	}
}
