//go:build !race

package memory

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Reserve returns size bytes of zeroes outside the Go heap. They take memory only
// once they are written to.
func Reserve(size int) ([]byte, error) {
	b, err := syscall.Mmap(-1, 0, size, syscall.PROT_READ|syscall.PROT_WRITE,
		syscall.MAP_ANON|syscall.MAP_PRIVATE|syscall.MAP_NORESERVE)
	if err != nil {
		return nil, fmt.Errorf("reserve %d bytes: %w", size, os.NewSyscallError("mmap", err))
	}
	return b, nil
}

// Release returns all that Reserve returned to the operating system; nothing may use it
// any more. It takes long for much memory.
func Release(b []byte) {
	const step = 16 << 20 // the kernel blocks page faults of the process meanwhile
	for at := 0; at+step < len(b); at += step {
		ReleasePages(b[at : at+step])
	}
	if err := syscall.Munmap(b); err != nil {
		panic(os.NewSyscallError("munmap", err)) // the bounds are those of Reserve
	}
}

// ReleasePages returns the memory of whole pages to the operating system; they read as
// zeroes from then on.
func ReleasePages(b []byte) {
	if err := syscall.Madvise(b, syscall.MADV_DONTNEED); err != nil {
		panic(os.NewSyscallError("madvise", err)) // the bounds are within those of Reserve
	}
}

// Populate gives memory to whole pages that will be written to soon: all at once that
// takes less time than page by page.
func Populate(b []byte) {
	_ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) // since Linux 5.14; without, only speed is lost
}

// OffHeap tells that memory that is not written to costs nothing.
const OffHeap = true
