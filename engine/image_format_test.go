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
