package tuning

import (
	"runtime"
	"testing"
)

// TestIdleHeapIsGivenBack: only a heap that is larger than it needs to be, and that nobody
// collects, because little is allocated.
func TestIdleHeapIsGivenBack(t *testing.T) {
	const much = idleHeapBytesMax + 1
	for _, c := range []struct {
		name              string
		now, last, needed heapUse
		want              bool
	}{
		{"much is kept", heapUse{much, 7}, heapUse{much, 7}, heapUse{}, true},
		{"little is", heapUse{much - 1, 7}, heapUse{much, 7}, heapUse{}, false},
		{"it is collected anyway", heapUse{much, 8}, heapUse{much, 7}, heapUse{}, false},
		{"so much is needed", heapUse{much, 7}, heapUse{much, 7}, heapUse{1, 7}, false},
	} {
		if got := isIdleHeap(c.now, c.last, c.needed); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
	before := readHeapUse()
	kept := make([]byte, 8<<20)
	runtime.GC()
	if after := readHeapUse(); after.bytes < before.bytes+8<<19 || after.cycles == before.cycles {
		t.Errorf("the heap is %+v with 8 MiB more than %+v", after, before)
	}
	runtime.KeepAlive(kept)
}
