package eventloop

import (
	"fmt"
	"os"
	"reflect"
	"syscall"

	"github.com/panjf2000/gnet/v2"
)

// gnet v2.10.0 reads from every connection it has and offers no way to stop it,
// so the only bound on a client that sends and never reads would be memory. Its
// event loop watches a connection through a level-triggered epoll set, in which
// the connection is identified by its descriptor alone: changing the events that
// the set reports for it stops and resumes reading without gnet noticing. All
// that is needed of gnet's insides is the number of the epoll descriptor, which
// is read, never written, by reflection.
//
// gnet sets the events of a connection itself in two places: readable and
// writable when a write could not be completed, readable when the last of the
// outbound bytes left. gnetConn.watch takes both into account.

// readEvents are the events by which gnet's netpoll.ReadEvents reads.
const readEvents = syscall.EPOLLIN | syscall.EPOLLPRI

// epollDescriptor returns the descriptor of the epoll set of an event loop of
// gnet v2.10.0. A gnet with another layout gives an error, not a panic.
func epollDescriptor(el gnet.EventLoop) (int, error) {
	v := reflect.ValueOf(el)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		return -1, fmt.Errorf("find gnet's epoll descriptor: event loop is a %v, want a pointer to a struct", v.Type())
	}
	poller := v.Elem().FieldByName("poller")
	if !poller.IsValid() || poller.Kind() != reflect.Pointer || poller.IsNil() || poller.Elem().Kind() != reflect.Struct {
		return -1, fmt.Errorf("find gnet's epoll descriptor: %v has no field poller that points to a struct", v.Type())
	}
	fd := poller.Elem().FieldByName("fd")
	if !fd.IsValid() || !fd.CanInt() {
		return -1, fmt.Errorf("find gnet's epoll descriptor: %v has no integer field fd", poller.Type())
	}
	return int(fd.Int()), nil
}

// setEvents makes the epoll set report the given events for the connection. It
// fails if the set does not know the connection's descriptor.
func setEvents(epollFD, fd int, events uint32) error {
	ev := syscall.EpollEvent{Events: events, Fd: int32(fd)}
	err := syscall.EpollCtl(epollFD, syscall.EPOLL_CTL_MOD, fd, &ev)
	return os.NewSyscallError("epoll_ctl mod", err)
}

// checkPause finds the epoll set of the connection's event loop and proves that
// it is the right one: reading can be stopped and resumed.
func checkPause(c gnet.Conn) (epollFD int, err error) {
	if epollFD, err = epollDescriptor(c.EventLoop()); err != nil {
		return -1, err
	}
	for _, events := range []uint32{0, readEvents} {
		if err := setEvents(epollFD, c.Fd(), events); err != nil {
			return -1, fmt.Errorf("pause a connection through gnet's epoll descriptor %d: %w", epollFD, err)
		}
	}
	return epollFD, nil
}

// watch has the epoll set report what is wanted of the connection now: that the
// client takes output while some waits, else that input arrives, unless reading
// is paused.
func (c *gnetConn) watch() {
	if c.phase != watched {
		return
	}
	waits := c.socket.OutboundBuffered() > 0
	if c.watching == syscall.EPOLLOUT && !waits {
		c.watching = readEvents // gnet has set them when the last byte left
	}
	want := uint32(readEvents)
	switch {
	case waits:
		want = syscall.EPOLLOUT
	case c.paused:
		want = 0
	}
	if want == c.watching {
		return
	}
	if err := setEvents(c.loop.epollFD, c.socket.Fd(), want); err != nil {
		c.engine.refusals.Error("pause or resume a connection", "remote", c.remote, "error", err)
		c.Close()
		return
	}
	c.watching = want
}
