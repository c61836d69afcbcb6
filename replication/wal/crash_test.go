package wal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

// TestCrashAnywhere lets each write and sync fail in turn, crashes, and recovers:
// what Save confirmed with a sync is there, and nothing that was never saved.
func TestCrashAnywhere(t *testing.T) {
	partly := 0 // crashes after which a part of the failed write was there
	for fault := range 4 * 120 {
		failIn, seed := 1+fault/4, uint64(fault%4)
		fs := disktest.NewCrashable()
		l := open(t, fs)
		fs.FailIn = failIn
		confirmed, attempted := contents(t, l), Write{}
		rng := rand.New(rand.NewPCG(uint64(failIn), seed))
		var last, term uint64 = 0, 1
		for range 40 {
			w := randomWrite(rng, &last, &term)
			if err := l.Save(w); err != nil {
				attempted = w
				if again := l.Save(Write{Sync: true}); again == nil {
					t.Fatal("a log went on after a failed write")
				}
				break
			}
			confirmed = contents(t, l)
		}
		r := open(t, disktest.Crash(fs, rng))
		got := contents(t, r)
		if !slices.Contains(outcomes(confirmed, attempted), got) {
			t.Fatalf("fault %d, seed %d: recovered\n%s\nconfirmed was\n%s\nattempted was%s", failIn, seed, got, confirmed, describe(attempted.Entries))
		}
		if got != confirmed {
			partly++
		}
		must(t, r.Save(Write{HardState: hard(1000, 0, 0), Sync: true})) // and it goes on
	}
	if partly == 0 {
		t.Fatal("no crash left a part of a write")
	}
}

func randomWrite(rng *rand.Rand, last, term *uint64) Write {
	if rng.IntN(4) == 0 {
		*term++
	}
	first := *last + 1
	if *last > 0 && rng.IntN(3) == 0 {
		first = *last // replaces one
	}
	*last = first + rng.Uint64N(6)
	return Write{HardState: hard(*term, 1, 0), Entries: entries(*term, first, *last), Sync: true}
}

// outcomes returns all contents that a log may have after a crash in the middle
// of a write: those before the write, and those after a part of it, of which the
// hard state may be there without an entry, or the first entries without it.
func outcomes(confirmed string, w Write) []string {
	all := []string{confirmed}
	if len(w.Entries) == 0 {
		return all
	}
	head, tail, _ := strings.Cut(confirmed, ":")
	kept, _, _ := strings.Cut(tail, fmt.Sprintf(" %d/", w.Entries[0].GetIndex()))
	_, rest, _ := strings.Cut(head, " voters ")
	hs := w.HardState
	after := fmt.Sprintf("term %d vote %d commit %d voters %s", hs.GetTerm(), hs.GetVote(), hs.GetCommit(), rest)
	all = append(all, after+":"+tail)
	var term, vote, commit uint64
	if _, err := fmt.Sscanf(head, "term %d vote %d commit %d", &term, &vote, &commit); err != nil {
		panic(err)
	}
	if t := w.Entries[0].GetTerm(); t > term { // learned from the entries
		head = fmt.Sprintf("term %d vote 0 commit %d voters %s", t, commit, rest)
	}
	for n := range w.Entries {
		part := kept + describe(w.Entries[:n+1])
		all = append(all, head+":"+part, after+":"+part)
	}
	return all
}

// TestSectorsOfOneWriteComeInAnyOrder loses each set of sectors of the last
// write that a power failure could lose: what was synced before is there, and
// the log opens.
func TestSectorsOfOneWriteComeInAnyOrder(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(disk.OS(), dir, Options{Bootstrap: testOptions.Bootstrap})
	must(t, err)
	must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 3), Sync: true}))
	before := int(l.segments[0].size)
	confirmed := contents(t, l)
	last := Write{HardState: hard(1, 1, 3), Entries: entries(1, 4, 40), Sync: true}
	must(t, l.Save(last))
	after := int(l.segments[0].size)
	full := contents(t, l)
	must(t, l.Close())
	good, err := disk.ReadFile(disk.OS(), segmentName(dir, 1))
	must(t, err)
	good = good[:after+2*sectorBytes] // as preallocated
	firstSector, sectors := before/sectorBytes, (after-1)/sectorBytes-before/sectorBytes+1
	if sectors < 4 {
		t.Fatalf("the write takes only %d sectors", sectors)
	}
	allowed := outcomes(confirmed, last)
	for lost := range 1 << sectors {
		b := bytes.Clone(good)
		for i := range sectors {
			if lost&(1<<i) != 0 {
				from := max(before, (firstSector+i)*sectorBytes)
				clear(b[from:min(after, (firstSector+i+1)*sectorBytes)])
			}
		}
		fs := disktest.NewCrashable()
		must(t, fs.MkdirAll("wal"))
		must(t, disk.WriteFileAtomic(fs, segmentName("wal", 1), b))
		if lost&1 != 0 { // half of them: as if the next one had been made ready
			must(t, disk.WriteFileAtomic(fs, segmentName("wal", 2), make([]byte, 2*sectorBytes)))
		}
		r, err := Open(fs, "wal", testOptions)
		if err != nil {
			t.Fatalf("sectors %b lost: %v", lost, err)
		}
		got := contents(t, r)
		if lost == 0 && got != full || !slices.Contains(allowed, got) {
			t.Fatalf("sectors %b lost: recovered %s", lost, got)
		}
	}
}
