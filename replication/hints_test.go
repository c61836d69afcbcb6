package replication

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"raftcached/replication/frame"
)

// hashes returns n hints, numbered from first.
func hashes(first, n int) (b []byte) {
	for i := range n {
		b = binary.BigEndian.AppendUint64(b, uint64(first+i))
	}
	return b
}

func TestHintsKeepWholeHashesUpToTheirBound(t *testing.T) {
	var h hints
	h.add(hashes(0, 3), 4*hintBytes)
	h.add(hashes(3, 3), 4*hintBytes+5)
	if !bytes.Equal(h.queued, hashes(0, 4)) {
		t.Fatalf("queued %x, want the first four", h.queued)
	}
	if got := h.take(3*hintBytes - 1); !bytes.Equal(got, hashes(0, 2)) {
		t.Fatalf("took %x, want the first two", got)
	}
	h.add(hashes(9, 1), 4*hintBytes)
	if got := h.take(1 << 20); !bytes.Equal(got, append(hashes(2, 2), hashes(9, 1)...)) {
		t.Fatalf("took %x, want the rest in order", got)
	}
	if got := h.take(1 << 20); len(got) != 0 {
		t.Fatalf("took %x of nothing", got)
	}
}

// TestHintsAreATenthOfTheLog runs the batcher with more hints than it may use:
// at every moment they are at most a tenth of the sub-batches, and over the run
// nearly that.
func TestHintsAreATenthOfTheLog(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var b batcher
	hintBytesSum, subsBytesSum, next := 0, 0, 0
	for range 5_000 {
		b.hint(hashes(next, 4_000))
		next += 4_000
		for range 1 + rng.IntN(3) {
			size := 1 << rng.IntN(15)
			s := SubBatch{Origin: 1, Boot: 1, Seq: 1, Count: 1, Ops: make([]byte, size)}
			b.add(1, appendSubBatch(nil, &s))
		}
		subsBytesSum += b.bytes
		for b.bytes > 0 {
			r := frame.NewReader(b.entry(1))
			h, err := entryHeader(&r)
			if err != nil {
				t.Fatal(err)
			}
			hintBytesSum += len(h.hints)
		}
		if hintBytesSum*hintShareDivisor > subsBytesSum {
			t.Fatalf("%d bytes of hints with %d bytes of sub-batches", hintBytesSum, subsBytesSum)
		}
	}
	if hintBytesSum*hintShareDivisor < subsBytesSum*99/100 {
		t.Fatalf("%d bytes of hints with %d bytes of sub-batches: the share is not used", hintBytesSum, subsBytesSum)
	}
}

// TestHintsUseWhatSmallEntriesLeft: a small entry's share is less than a hint, a
// few of them make one. A long time without hints makes no more than a bounded
// burst.
func TestHintsUseWhatSmallEntriesLeft(t *testing.T) {
	var b batcher
	one := func(subsBytes int) int {
		b.add(1, make([]byte, subsBytes))
		r := frame.NewReader(b.entry(1))
		h, err := entryHeader(&r)
		if err != nil {
			t.Fatal(err)
		}
		return len(h.hints)
	}
	b.hint(hashes(0, 10))
	for i, want := range []int{0, 0, 8, 0, 8} {
		if got := one(35); got != want {
			t.Fatalf("entry %d brings %d bytes of hints, want %d", i, got, want)
		}
	}
	b.hints = hints{}
	for range 100 {
		one(200 << 10)
	}
	b.hint(make([]byte, hintsBytesMax))
	if got := one(10); got != hintsCarriedBytesMax {
		t.Fatalf("a small entry brings %d bytes of hints, want what may be carried over, %d", got, hintsCarriedBytesMax)
	}
}

// TestHintsNeverMakeAnEntry: without operations there is nothing to propose, and
// with the leadership they go.
func TestHintsNeverMakeAnEntry(t *testing.T) {
	var b batcher
	b.hint(hashes(0, 100))
	if b.ready(0) {
		t.Fatal("hints alone make an entry")
	}
	b.clear()
	b.add(1, make([]byte, 1<<16))
	r := frame.NewReader(b.entry(1))
	if h, err := entryHeader(&r); err != nil || len(h.hints) > 0 {
		t.Fatalf("%d bytes of hints after clear, %v", len(h.hints), err)
	}
}
