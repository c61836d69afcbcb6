package memory

import "testing"

func TestReserve(t *testing.T) {
	const size = 64 << 20
	b, err := Reserve(size)
	if err != nil || len(b) != size {
		t.Fatalf("%d bytes, %v", len(b), err)
	}
	for _, at := range []int{0, 4096, size - 1} {
		if b[at] != 0 {
			t.Fatalf("byte %d is %d", at, b[at])
		}
		b[at] = 1
	}
	ReleasePages(b[4096:8192])
	if b[0] != 1 || b[size-1] != 1 || OffHeap && b[4096] != 0 {
		t.Fatalf("after one page was released: %d %d %d", b[0], b[4096], b[size-1])
	}
	Release(b)
	if !OffHeap {
		return // the Go heap panics
	}
	if _, err := Reserve(1 << 62); err == nil {
		t.Fatal("reserved more than there are addresses")
	}
}
