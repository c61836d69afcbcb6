package store

import (
	"math/bits"
	"sync/atomic"
	"unsafe"

	"raftcached/engine/memory"
)

const (
	// granuleBytes is the unit in which segments take memory: 4 pages.
	granuleBytes = 1 << granuleShift
	granuleShift = 14

	// unitBytes is the alignment of records, and what a handle counts in.
	unitBytes = 1 << unitShift
	unitShift = 3

	// arenaBytesMax is what 32-bit handles reach, less what marks lists.
	arenaBytesMax = int64(listMarker) << unitShift &^ (granuleBytes - 1)
)

// Handle names a record by its place in the arena, in units of unitBytes. 0 is
// no record.
type Handle uint32

// run is a range of granules.
type run struct{ first, n int }

// arena hands out runs of granules of one reserved range of memory. The applier
// owns it; readers only follow handles into its memory.
type arena struct {
	mem  []byte
	base unsafe.Pointer // of mem

	used      []uint64 // a bit for each granule
	resident  []uint64 // set for free granules whose memory was not released
	high      int      // granules from here on were never used
	low       int      // granules below are used
	inUse     int      // granules
	idle      int      // free granules with memory
	idleMax   int
	granules  int
	segmentOf []uint32 // id of the segment that holds a granule
}

const (
	// raiseMax is how many times its first value a memory limit may be raised to, and
	// raiseFree what it may always be raised to.
	raiseMax  = 2
	raiseFree = 512 << 20

	// LimitBytesMax is the highest memory limit, just below 16 GiB: half of what
	// handles of 32 bits reach.
	LimitBytesMax = arenaBytesMax / 2 &^ (1<<20 - 1)
)

// LimitMax is the limit up to which one may be raised that was first as given.
func LimitMax(first int64) int64 { return min(LimitBytesMax, max(raiseFree, raiseMax*first)) }

// addressBytesFor is what a store reserves for a memory limit: four times as much as it
// should ever use with the highest limit, as far as handles reach, so that a run of free
// granules is found. Reserving costs nothing, except with the race detector.
func addressBytesFor(limit int64) int64 {
	size := 3*limit + 4<<20
	if memory.OffHeap {
		size = 4 * max(raiseMax*limit, raiseFree)
	}
	return min(size, arenaBytesMax) &^ (granuleBytes - 1)
}

// leastAddressBytes is enough for a limit that is not raised.
func leastAddressBytes(limit int64) int64 { return (2*limit + 4<<20) &^ (granuleBytes - 1) }

// words views b as 32-bit words.
func words(b []byte) []uint32 {
	return unsafe.Slice((*uint32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// spareAddressBytes is left to Go's heap and stacks where the address space is limited.
const spareAddressBytes = 512 << 20

// reserve reserves address space, if there is some to spare beside it.
func reserve(size int64) ([]byte, error) {
	mem, err := memory.Reserve(int(size))
	if err != nil || !memory.OffHeap {
		return mem, err
	}
	spare, err := memory.Reserve(spareAddressBytes)
	if err != nil {
		memory.Release(mem)
		return nil, err
	}
	memory.Release(spare)
	return mem, nil
}

// newArena reserves size bytes, whole granules, for a cache of the given limit. If the
// address space is limited, as by ulimit -v, it reserves what that limit needs: a store
// that replaces this one must have room beside it, and so must Go's heap.
func newArena(limit, size int64) (*arena, error) {
	mem, err := reserve(size)
	if least := leastAddressBytes(limit); err != nil && least < size {
		size = least
		mem, err = memory.Reserve(int(size))
	}
	if err != nil {
		return nil, err
	}
	return &arena{
		mem: mem, base: unsafe.Pointer(unsafe.SliceData(mem)),
		high: 1, low: 1, // granule 0 stays unused: handle 0 is no record
		granules: int(size >> granuleShift),
		idleMax:  max(16, int(limit>>(granuleShift+6))),
	}, nil
}

func (a *arena) close() { memory.Release(a.mem) }

// alloc returns a run of n granules, which may hold anything, or reports that
// there are not so many in a row.
func (a *arena) alloc(n int) (run, bool) {
	first := a.search(n)
	if first < 0 {
		first = a.high
		if first+n > a.granules {
			return run{}, false
		}
		a.high += n
		a.extend()
	}
	for g := first; g < first+n; g++ {
		a.used[g/64] |= 1 << (g % 64)
		if a.resident[g/64]&(1<<(g%64)) != 0 {
			a.resident[g/64] &^= 1 << (g % 64)
			a.idle--
		}
	}
	a.inUse += n
	return run{first, n}, true
}

// extend makes the tables reach the highest granule.
func (a *arena) extend() {
	for len(a.used)*64 < a.high {
		a.used = append(a.used, 0)
		a.resident = append(a.resident, 0)
	}
	for len(a.segmentOf) < a.high {
		a.segmentOf = append(a.segmentOf, 0)
	}
}

// search returns the first of the lowest n free granules in a row below high, or
// -1. Low addresses are used again and again, so that few pages have memory.
func (a *arena) search(n int) int {
	start, lowest := a.low, true
	for g := a.low; g < a.high; {
		if w := a.used[g/64] >> (g % 64); w != 0 {
			free := bits.TrailingZeros64(w)
			if free > 0 && lowest {
				a.low, lowest = g, false
			}
			if g+free-start >= n {
				return start
			}
			taken := bits.TrailingZeros64(^(w >> free))
			g += free + max(taken, 1)
			start = g
			continue
		}
		if lowest {
			a.low, lowest = g, false
		}
		g = (g/64 + 1) * 64
		if min(g, a.high)-start >= n {
			return start
		}
	}
	return -1
}

// free takes back a run that nothing refers to. It keeps the memory for the next run
// that is allocated unless it has much of that already, and releases it then.
func (a *arena) free(r run) {
	for g := r.first; g < r.first+r.n; g++ {
		a.used[g/64] &^= 1 << (g % 64)
	}
	a.inUse -= r.n
	a.low = min(a.low, r.first)
	if a.idle+r.n > a.idleMax {
		memory.ReleasePages(a.mem[r.first<<granuleShift : (r.first+r.n)<<granuleShift])
		return
	}
	a.idle += r.n
	for g := r.first; g < r.first+r.n; g++ {
		a.resident[g/64] |= 1 << (g % 64)
	}
}

// record returns the record at h.
func (a *arena) record(h Handle) record {
	return record{unsafe.Add(a.base, uintptr(h)<<unitShift)}
}

// touch loads a word of each of the first cache lines of what lies at h. What
// follows them the processor expects by itself.
func (a *arena) touch(h Handle) (sum uint32) {
	const lines, lineBytes = 3, 64
	at := uintptr(h) << unitShift
	for n := uintptr(0); n < lines && at < uintptr(len(a.mem)); n++ {
		sum += atomic.LoadUint32((*uint32)(unsafe.Add(a.base, at)))
		at += lineBytes
	}
	return sum
}

// granuleOf returns the granule in which h lies.
func granuleOf(h Handle) int { return int(h >> (granuleShift - unitShift)) }
