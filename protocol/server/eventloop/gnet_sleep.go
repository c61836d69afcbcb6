package eventloop

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// gnet waits for events in epoll_wait, as a system call that may block. Go takes it for
// one that will soon be over: the processor, in the sense of GOMAXPROCS, stays with the
// waiting thread until the runtime's monitor takes it away, and then another thread has to
// be woken for whatever else there is to do. A loop that has little to do goes through
// this for nearly each batch of requests.
//
// So a loop sleeps before gnet waits, as the last thing it does in gnet's task of a turn, in
// Go's own poller, which watches gnet's epoll set as a whole. Then that is a goroutine
// that waits, and its thread goes on with the next goroutine. gnet finds events when it
// asks, and waits itself only when no turn's end was asked for.

// sleeper lets the goroutine of a loop wait until gnet's epoll set has events, or until
// somebody wakes it.
type sleeper struct {
	file   *os.File // a duplicate of the epoll set's descriptor
	raw    syscall.RawConn
	asleep atomic.Bool
	bars   atomic.Int64 // why the loop is to leave the waiting to gnet
	waits  bool         // the poller was left to tell of events
	look   func(epollFD uintptr) (events bool)
}

// newSleeper returns a sleeper for an epoll set.
func newSleeper(epollFD int) (*sleeper, error) {
	fd, err := unix.FcntlInt(uintptr(epollFD), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, os.NewSyscallError("duplicate an epoll descriptor", err)
	}
	if err := unix.SetNonblock(fd, true); err != nil { // only then Go's poller takes it; epoll_wait does not care
		_ = unix.Close(fd)
		return nil, os.NewSyscallError("fcntl", err)
	}
	s := &sleeper{file: os.NewFile(uintptr(fd), "epoll set")}
	if err := s.file.SetReadDeadline(time.Time{}); err != nil {
		_ = s.file.Close()
		return nil, fmt.Errorf("watch an epoll set: %w", err)
	}
	if s.raw, err = s.file.SyscallConn(); err != nil {
		_ = s.file.Close()
		return nil, fmt.Errorf("watch an epoll set: %w", err)
	}
	s.look = func(epollFD uintptr) bool {
		events := hasEvents(epollFD)
		s.waits = s.waits || !events
		return events
	}
	return s, nil
}

// sleep waits until the epoll set has events, which it reports, or until wake. It does
// not wait, and reports so, if there are events, or if stay reports false: that is called when
// wake already has its effect. If Go's poller fails it reports events: gnet waits then. Only the
// loop's goroutine may call it.
func (s *sleeper) sleep(stay func() bool) (events, waited bool) {
	s.asleep.Store(true)
	s.waits = false
	if !s.barred() && stay() {
		events = !errors.Is(s.raw.Read(s.look), os.ErrDeadlineExceeded)
		if !events {
			_ = s.file.SetReadDeadline(time.Time{}) // it has worked before
		}
	}
	s.asleep.Store(false)
	return events, s.waits
}

// wake ends sleep, and reports whether the loop was in it. If it was not, it may be about to
// return from it. It costs no system call. Any goroutine may call it.
func (s *sleeper) wake() bool {
	if !s.asleep.Load() {
		return false
	}
	_ = s.file.SetReadDeadline(longAgo)
	return true
}

// bar ends sleep, and sleep does not wait until unbar was called as often. Any goroutine
// may call them.
func (s *sleeper) bar() {
	s.bars.Add(1)
	s.wake()
}

func (s *sleeper) unbar() { s.bars.Add(-1) }

// barred reports whether sleep does not wait.
func (s *sleeper) barred() bool { return s.bars.Load() > 0 }

// close gives the descriptor back. The loop must have ended.
func (s *sleeper) close() { _ = s.file.Close() }

// longAgo is a deadline that has passed.
var longAgo = time.Unix(1, 0)

// hasEvents reports whether an epoll set has events, and takes none. The call returns at
// once, so the scheduler need not know of it.
func hasEvents(epollFD uintptr) bool {
	var (
		at  = [1]unix.PollFd{{Fd: int32(epollFD), Events: unix.POLLIN}}
		now unix.Timespec
	)
	n, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(&at)), uintptr(len(at)), uintptr(unsafe.Pointer(&now)), 0, 0, 0)
	return errno != 0 || n > 0
}
