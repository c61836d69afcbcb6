//go:build race

package memory

import "unsafe"

// Reserve returns size bytes of zeroes, a multiple of 8.
func Reserve(size int) ([]byte, error) {
	w := make([]uint64, size/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(w))), size), nil
}

// Release leaves it to the garbage collector.
func Release([]byte) {}

// ReleasePages does nothing.
func ReleasePages([]byte) {}

// Populate does nothing.
func Populate([]byte) {}

// OffHeap tells that memory that is not written to costs nothing.
const OffHeap = false
