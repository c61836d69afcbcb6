package engine

import (
	"bytes"
	"compress/gzip"
	"io"
	"os"
	"testing"
)

// TestImageFormatIsKept restores an image of format 4 that an earlier program wrote,
// with evictions, ghosts, a pending flush, and items of both queues with flags, expiry
// and marks, and writes it again: the bytes are the same.
func TestImageFormatIsKept(t *testing.T) {
	f, err := os.Open("testdata/image_format_4.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it is only read
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
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
