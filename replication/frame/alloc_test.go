//go:build !race

// The race detector drops pooled decoders at random.

package frame

import "testing"

func TestNothingIsAllocated(t *testing.T) {
	buf := make([]byte, 0, 256)
	payload := make([]byte, 100)
	allocs := testing.AllocsPerRun(1000, func() {
		buf = AppendBytes(AppendInt(AppendUint(AppendArrayLen(buf[:0], 3), 1<<40), -1<<40), payload)
		r := NewReader(buf)
		n, err := r.ArrayLen(3)
		u, err2 := r.Uint64()
		i, err3 := r.Int64()
		b, err4 := r.Bytes(len(payload))
		if n != 3 || u != 1<<40 || i != -1<<40 || len(b) != len(payload) || err != nil || err2 != nil || err3 != nil || err4 != nil {
			t.Fatal("what was appended is not what was read")
		}
	})
	if allocs != 0 {
		t.Fatalf("%v allocations", allocs)
	}
}
