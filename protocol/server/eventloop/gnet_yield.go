package eventloop

import (
	"fmt"
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Go's scheduler asks its poller what has arrived when a processor, in the sense of
// GOMAXPROCS, has nothing left to run. A loop whose clients have the next request ready
// before it has written the last answer never waits, and letting others run does not ask the
// poller. Where it has the only processor, other loops and the connections of peers then
// learn of their input from the runtime's monitor, 10 ms late.
//
// So a loop that has not waited for a while waits for an event of its own, which only the
// poller can tell it.

// yieldAfter is how long a loop goes on without having waited. To yield takes 2 µs.
const yieldAfter = 500 * time.Microsecond

// yielder has a goroutine wait until Go's poller was asked for events.
type yielder struct {
	event *os.File // an eventfd, which nobody reads: each write is an event to the poller
	raw   syscall.RawConn
	wrote bool
	wait  func(fd uintptr) (over bool) // made once: it would be allocated each time
}

func newYielder() (*yielder, error) {
	fd, err := unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC)
	if err != nil {
		return nil, os.NewSyscallError("eventfd", err)
	}
	y := &yielder{event: os.NewFile(uintptr(fd), "event of a loop")}
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

// yield returns when the poller has been asked. What it had for other goroutines makes
// them runnable as well. Without a poller it returns at once. One goroutine may call it at a time.
func (y *yielder) yield() {
	y.wrote = false
	_ = y.raw.Read(y.wait)
}

// step makes the event, when the poller has begun to wait for it, and reports whether it was
// made before. The call does not block, so the scheduler need not know of it.
func (y *yielder) step(fd uintptr) (over bool) {
	if y.wrote {
		return true
	}
	y.wrote = true
	one := [8]byte{1}
	_, _, errno := unix.RawSyscall(unix.SYS_WRITE, fd, uintptr(unsafe.Pointer(&one)), uintptr(len(one)))
	return errno != 0
}

// close gives the descriptor back.
func (y *yielder) close() { _ = y.event.Close() }
