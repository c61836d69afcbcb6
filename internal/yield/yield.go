// Package yield lets run who waits for Go's poller.
//
// Go's scheduler asks its poller what has arrived when a processor, in the sense of
// GOMAXPROCS, has nothing left to run, and runtime.Gosched does not ask it. Where a goroutine
// has the only processor and goes on, others learn of their input from the runtime's monitor,
// 10 ms late.
package yield

import (
	"fmt"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Yielder has a goroutine wait for an event of its own, which only the poller can tell it.
type Yielder struct {
	event *os.File // an eventfd, which nobody reads: each write is an event to the poller
	raw   syscall.RawConn
	wrote bool
	wait  func(fd uintptr) (over bool) // made once: it would be allocated each time
}

// New returns a Yielder, which holds one file descriptor until it is closed.
func New() (*Yielder, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	y := &Yielder{event: os.NewFile(uintptr(fd), "event of a yielder")}
	if y.raw, err = y.event.SyscallConn(); err == nil {
		err = y.event.SetReadDeadline(time.Time{})
	}
	if err != nil {
		_ = y.event.Close()
		return nil, fmt.Errorf("watch an event: %w", err)
	}
	y.wait = y.step
	return y, nil
}

// Yield returns when the poller has been asked, and on one processor when those have run
// that it had something for. It takes 2 µs where nobody else has anything to do. A closed Yielder
// asks nobody. One goroutine may call it at a time.
func (y *Yielder) Yield() {
	y.wrote = false
	_ = y.raw.Read(y.wait)
	runtime.Gosched() // the poller's last event is run first, which is this one
}

// step makes the event, when the poller has begun to wait for it, and reports whether it was
// made before. The call does not block, so the scheduler need not know of it.
func (y *Yielder) step(fd uintptr) (over bool) {
	if y.wrote {
		return true
	}
	y.wrote = true
	one := [8]byte{1}
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), uintptr(len(one)))
	return errno != 0
}

// Close gives the descriptor back. Any goroutine may call it.
func (y *Yielder) Close() error {
	if err := y.event.Close(); err != nil {
		return fmt.Errorf("close an event: %w", err)
	}
	return nil
}
