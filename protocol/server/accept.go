package server

import (
	"errors"
	"fmt"
	"net"
	"os"
	"time"
)

// acceptRetryDelay is how long accepting rests after a failure, which as a rule
// means that the process has no descriptor left.
const acceptRetryDelay = 10 * time.Millisecond

// rejectWriteTimeout bounds how long a refused client may hold up the others.
const rejectWriteTimeout = 10 * time.Millisecond

// listen opens the listeners. Go sets SO_REUSEADDR, so that a restart does not
// wait for its port, and never SO_REUSEPORT, so that a second server on the same
// port fails instead of taking half of the connections.
func (s *Server) listen() error {
	for _, addr := range s.options.Listen {
		ln, err := net.Listen("tcp", addr)
		if err != nil {
			s.closeListeners()
			return fmt.Errorf("listen on %q: %w", addr, unwrapListen(err))
		}
		s.listeners = append(s.listeners, ln)
	}
	return nil
}

// unwrapListen drops the part of the error that repeats the address.
func unwrapListen(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// closeListeners stops accepting.
func (s *Server) closeListeners() {
	for _, ln := range s.listeners {
		_ = ln.Close() // its only error is that it is closed already
	}
}

// accept hands the listener's connections to the event loops until it is closed.
func (s *Server) accept(ln net.Listener) {
	for {
		nc, err := ln.Accept()
		switch {
		case err == nil:
			s.admit(nc)
		case errors.Is(err, net.ErrClosed):
			return
		default:
			s.options.Logger.Error("accept a connection", "error", err)
			select {
			case <-s.stop:
				return
			case <-time.After(acceptRetryDelay):
			}
		}
	}
}

// admit gives a connection to an event loop, or refuses it like memcached's
// maxconns_fast. It returns when the loop has it.
func (s *Server) admit(nc net.Conn) {
	if s.open.Add(1) > int64(s.options.MaxConnections) {
		s.connClosed()
		s.rejected.Add(1)
		_ = nc.SetDeadline(time.Now().Add(rejectWriteTimeout))
		_, _ = nc.Write([]byte("ERROR Too many open connections\r\n")) // the client may be gone
		_ = nc.Close()
		return
	}
	s.total.Add(1)
	c := &conn{remote: nc.RemoteAddr().String(), local: nc.LocalAddr().String()}
	dropZone(nc.LocalAddr())
	dropZone(nc.RemoteAddr())
	_, err := s.engine.EnrollContext(nc, c)
	if err != nil {
		s.options.Logger.Error("enroll a connection", "remote", c.remote, "error", err)
	}
	if c.loop == nil { // no loop could watch it
		s.connClosed()
	}
}

// dropZone removes the zone from an address in place. gnet puts the zones of a
// closed connection into its pool of buffers, although Go owns their memory.
func dropZone(a net.Addr) {
	if tcp, ok := a.(*net.TCPAddr); ok {
		tcp.Zone = ""
	}
}

// fileConn makes a net.Conn of a socket's descriptor, which it takes over.
func fileConn(fd int) (net.Conn, error) {
	f := os.NewFile(uintptr(fd), "socket")
	defer func() { _ = f.Close() }() // net.FileConn works on a duplicate
	return net.FileConn(f)
}
