package tuning

import (
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

const (
	// giveBackGap is how often giveBack looks.
	giveBackGap = 5 * time.Second

	// idleHeapBytesMax is how much more than it needs Go's heap may keep while little is
	// allocated.
	idleHeapBytesMax = 24 << 20
)

// heapUse is what Go's heap takes from the system, and how often it was collected.
type heapUse struct{ bytes, cycles uint64 }

// readHeapUse asks the runtime.
func readHeapUse() heapUse {
	samples := []metrics.Sample{
		{Name: "/gc/cycles/total:gc-cycles"},
		{Name: "/memory/classes/heap/objects:bytes"},
		{Name: "/memory/classes/heap/unused:bytes"},
		{Name: "/memory/classes/heap/free:bytes"}, // what was given back is counted elsewhere
	}
	metrics.Read(samples)
	use := heapUse{cycles: samples[0].Value.Uint64()}
	for _, s := range samples[1:] {
		use.bytes += s.Value.Uint64()
	}
	return use
}

// giveBack gives memory back to the system at each tick, if there is much. Go collects its
// heap when that has grown, or after two minutes: what many clients took who have gone, and
// nobody asks anything since, would stay as long.
func giveBack(ticks <-chan time.Time) {
	var last, needed heapUse
	for range ticks {
		now := readHeapUse()
		if isIdleHeap(now, last, needed) {
			runtime.GC() // twice: a sync.Pool keeps what it has through one
			debug.FreeOSMemory()
			now = readHeapUse()
			needed = now
		}
		last = now
	}
}

// isIdleHeap reports whether the heap is to be collected: it is larger than it was after
// that was done last, and was not collected since the last look, so little is allocated.
func isIdleHeap(now, last, needed heapUse) bool {
	return now.cycles == last.cycles && now.bytes > needed.bytes+idleHeapBytesMax
}
