package wal

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"testing"
	"time"

	"raftcached/replication/disk/disktest"
)

// TestFullDisk lets the disk be full again and again. A Save that finds no room leaves
// the log as it was, on the disk too, and succeeds when there is some. Compactions
// succeed meanwhile.
func TestFullDisk(t *testing.T) {
	refused, compacted := 0, 0
	for seed := range uint64(60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 0))
			fs := disktest.NewCrashable()
			l := open(t, fs)
			var last, term, commit uint64 = 0, 1, 0
			for range 100 {
				fs.SetFull(rng.IntN(2) == 0)
				w, before := randomWrite(rng, &last, &term), contents(t, l)
				w.Entries[0].Data = append(w.Entries[0].Data, bytes.Repeat([]byte("x"), rng.IntN(3000))...)
				w.HardState.Commit = new(commit)
				err := l.Save(w)
				switch {
				case errors.Is(err, ErrFull):
					refused++
					if got := contents(t, l); got != before {
						t.Fatalf("after a refused write the log is\n%.200s\nbefore it was\n%.200s", got, before)
					}
					if first := w.Entries[0].GetIndex(); first > 2 && rng.IntN(2) == 0 {
						if err := l.Compact(first - 2); err == nil {
							compacted++
							commit = first - 2
							w.HardState.Commit = new(commit)
						} else if l.failed != nil {
							t.Fatal(err)
						}
					}
					fs.SetFull(false)
					must(t, l.Save(w))
				default:
					must(t, err)
				}
			}
			want := contents(t, l)
			if got := contents(t, open(t, disktest.Crash(fs, rng))); got != want {
				t.Fatalf("recovered\n%.200s\nwant\n%.200s", got, want)
			}
		})
	}
	if refused < 100 || compacted < 20 {
		t.Fatalf("%d writes were refused, and %d compactions made meanwhile: covered too little", refused, compacted)
	}
}

// TestFloorOnAFullDisk: a floor that cannot be written down does not stop the log,
// one that must be lowered first has the write wait.
func TestFloorOnAFullDisk(t *testing.T) {
	var floor Floor
	var full error
	var lowest uint64
	o := testOptions
	o.KeepFloor = func(f Floor, _ time.Duration) error {
		if full == nil {
			floor, lowest = f, min(lowest, f.Index)
		}
		return full
	}
	l := openWith(t, disktest.NewCrashable(), o)
	must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 1, 9), Sync: true}))
	full = syscall.ENOSPC
	must(t, l.Save(Write{HardState: hard(2, 1, 0), Sync: true}))
	if floor.Term != 1 {
		t.Fatalf("the floor has term %d, want the one from before", floor.Term)
	}
	replaced := Write{Entries: entries(2, 5, 6), Sync: true}
	if err := l.Save(replaced); !errors.Is(err, ErrFull) {
		t.Fatalf("a write that replaces entries above the floor: %v, want %v", err, ErrFull)
	}
	full, lowest = nil, floor.Index
	must(t, l.Save(replaced))
	if lowest != 4 {
		t.Fatalf("the floor was lowered to entry %d, want 4", lowest)
	}
}
