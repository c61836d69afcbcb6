package replication

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"raftcached/replication/frame"
)

// goldenEntry is an entry with two read hints and the first two of
// exampleSubBatches, the second of which has no operations.
const goldenEntry = `
	94 01 cf 000001ba60d3387b c410 686173682d6f6e65 686173682d74776f 92
	97 01 02 03 04 05 02 c402 6162
	97 01 02 00 01 06 00 c400`

// TestEntryBytes holds the format of the log: entries on disks were written by
// other versions of this program.
func TestEntryBytes(t *testing.T) {
	want, err := hex.DecodeString(strings.Join(strings.Fields(goldenEntry), ""))
	if err != nil {
		t.Fatal(err)
	}
	subs := encodeSubBatches(exampleSubBatches()[:2])
	got := encodeEntry(1_900_000_000_123, []byte("hash-onehash-two"), 2, subs)
	if !bytes.Equal(got, want) {
		t.Fatalf("entry is\n% x, want\n% x", got, want)
	}
}

func BenchmarkBatch(b *testing.B) {
	s := SubBatch{Origin: 1, Boot: 17, Loop: 3, Seq: 1_000_000, Tag: 70_000, Count: 16, Ops: make([]byte, 16*150)}
	buf := appendSubBatch(nil, &s)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			buf = appendSubBatch(buf[:0], &s)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			r := frame.NewReader(buf)
			if _, err := readSubBatch(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
}
