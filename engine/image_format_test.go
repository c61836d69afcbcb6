package engine

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"
)

// unzipped returns the contents of a file.
func unzipped(t *testing.T, name string) []byte {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it is only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestImageFormatIsKept restores an image of format 4 that an earlier program wrote,
// with evictions, ghosts, a pending flush, and items of both queues with flags, expiry
// and marks, and writes it again: the bytes are the same.
func TestImageFormatIsKept(t *testing.T) {
	want := unzipped(t, "testdata/image_format_4.gz")
	e := newEngine(t, testLimits)
	if err := e.Restore(bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	contents, order := e.Digest()
	if contents != 0x124296a90094ae9b || order != 0x983eeea46a393bb {
		t.Errorf("digest %x, %x", contents, order)
	}
	if s := e.Stats(); s.CurrItems != 9 || s.Bytes != 3384 || (s.Counts != Counts{TotalItems: 3010, Evictions: 1015, EvictedUnfetched: 1015}) {
		t.Errorf("%+v", s)
	}
	got := finish(t, e.Image(), nil)
	if !bytes.Equal(got, want) {
		t.Fatalf("an image of %d bytes became another one of %d", len(want), len(got))
	}
	check(t, e)
}

// TestImageFormatWithAFill does the same with an image of format 5, of a fill of which
// one chunk is missing.
func TestImageFormatWithAFill(t *testing.T) {
	want := unzipped(t, "testdata/image_format_5.gz")
	e := newEngine(t, testLimits)
	if err := e.Restore(bytes.NewReader(want)); err != nil {
		t.Fatal(err)
	}
	if contents, _ := e.Digest(); contents != 0x545bf8d45b7457e2 || !e.Filling() || e.fill.next+1 != e.fill.plan.Chunks {
		t.Errorf("digest %x, fill %+v", contents, e.fill)
	}
	if got := finish(t, e.Image(), nil); !bytes.Equal(got, want) {
		t.Fatalf("an image of %d bytes became another one of %d", len(want), len(got))
	}
	check(t, e)
}

// TestImageFormatWithASeed does the same with images of formats 6 and 7, of a state with a seed:
// one with ghosts, one of a fill of which a chunk is missing.
func TestImageFormatWithASeed(t *testing.T) {
	for _, c := range []struct {
		name            string
		contents, order uint64
		items           int64
		filling         bool
	}{
		{"testdata/image_format_6.gz", 0x84a729eb7de86a8a, 0x82ce78d81ba0b5d5, 18, false},
		{"testdata/image_format_7.gz", 0xfeab876351d4c774, 0xfd2417fb57c09766, 508, true},
	} {
		want := unzipped(t, c.name)
		e := newEngine(t, testLimits)
		if err := e.Restore(bytes.NewReader(want)); err != nil {
			t.Fatal(err)
		}
		contents, order := e.Digest()
		if contents != c.contents || order != c.order || e.Filling() != c.filling || e.Stats().CurrItems != c.items || e.st.Seed() != 0x5eed0123456789ab {
			t.Errorf("%s: digest %x, %x, %d items, filling %v, seed %x", c.name, contents, order, e.Stats().CurrItems, e.Filling(), e.st.Seed())
		}
		if got := finish(t, e.Image(), nil); !bytes.Equal(got, want) {
			t.Errorf("%s: an image of %d bytes became another one of %d", c.name, len(want), len(got))
		}
		check(t, e)
	}
}

// TestFirstSeedCounts: the seed is that of the first formation in the log, on every node, and
// stays through a flush_all that replaces the store. It is part of the state.
func TestFirstSeedCounts(t *testing.T) {
	first, other := newEngine(t, testLimits), newEngine(t, Limits{MemoryBytes: 8 << 20, ItemBytesMax: 1000})
	first.Propose(7)
	other.Propose(8)
	formations := [][]byte{first.Formation(), other.Formation()}
	for _, e := range []*Engine{first, other} {
		for _, f := range formations {
			e.Apply(1, f, false)
		}
		for i := range clearedMax + 1 {
			one(t, e, Op{Kind: OpSet, Key: []byte{byte(i), byte(i >> 8)}, Value: []byte("v")})
		}
		before := e.st
		one(t, e, Op{Kind: OpFlushAll})
		if e.st == before || e.st.Seed() != 7 {
			t.Errorf("the seed is %d, the store replaced: %v", e.st.Seed(), e.st != before)
		}
		one(t, e, Op{Kind: OpSet, Key: []byte("k"), Value: []byte("v")})
		if got, ok := e.NewReader().View(nil, []byte("k"), appendItemValue); !ok || string(got) != "v" {
			t.Errorf("an item is read as %q, %v", got, ok)
		}
		check(t, e)
	}
	unseeded := newEngine(t, testLimits)
	unseeded.Apply(1, newEngine(t, testLimits).Formation(), false)
	seeded := newEngine(t, testLimits)
	seeded.Apply(1, formations[0], false)
	a, _ := unseeded.Digest()
	if b, _ := seeded.Digest(); a == b {
		t.Error("states of different seeds have one digest")
	}
}
