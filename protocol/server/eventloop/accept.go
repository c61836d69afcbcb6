package eventloop

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"raftcached/internal/seldom"
)

// refuseWriteTimeout bounds how long a refused client may delay the others.
const refuseWriteTimeout = 10 * time.Millisecond

// listen opens the listeners, unless the configuration has open ones. Go sets
// SO_REUSEADDR, so that a restart does not wait for its port, and never
// SO_REUSEPORT, so that a second server on the same port fails instead of taking
// half of the connections.
func (e *Engine) listen() error {
	if len(e.config.Listeners) > 0 {
		e.listeners = e.config.Listeners
		return nil
	}
	for _, addr := range e.config.Listen {
		ln, err := net.Listen(networkOf(addr), addr)
		if err != nil {
			e.closeListeners()
			return fmt.Errorf("listen on %q: %w", addr, unwrapListen(err))
		}
		e.listeners = append(e.listeners, ln)
	}
	return nil
}

// networkOf keeps the two versions of IP apart where an address has one: 0.0.0.0 and
// :: are then two addresses, as for memcached, which sets IPV6_V6ONLY. An empty host
// means both.
func networkOf(addr string) string {
	host, _, _ := net.SplitHostPort(addr)
	switch ip, err := netip.ParseAddr(host); {
	case err != nil:
		return "tcp"
	case ip.Is4():
		return "tcp4"
	}
	return "tcp6"
}

// unwrapListen drops the part of the error that repeats the address.
func unwrapListen(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}

// closeListeners closes the listeners.
func (e *Engine) closeListeners() {
	for _, ln := range e.listeners {
		_ = ln.Close() // its only error is that it is closed already
	}
}

// listenerFD returns the number of a listener's descriptor; -1 if it is closed.
func listenerFD(ln net.Listener) int {
	fd := -1
	if tcp, ok := ln.(*net.TCPListener); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			_ = raw.Control(func(n uintptr) { fd = int(n) }) // an error leaves -1
		}
	}
	return fd
}

// accept passes the listener's connections to the loops until it is closed. With a
// configuration of TLS their clients shake hands before.
func (e *Engine) accept(ln net.Listener, secure *tls.Config) {
	a := seldom.Acceptor{Listener: ln, Stop: e.stop, Logger: e.config.Logger}
	for nc := a.Accept(); nc != nil; nc = a.Accept() {
		e.admit(nc, secure)
	}
}

// admit gives a connection to a loop, or refuses it with a line like memcached's
// maxconns_fast; a client that expects TLS could not read that. It returns when the loop
// has it, or its handshake has begun.
func (e *Engine) admit(nc net.Conn, secure *tls.Config) {
	if e.open.Add(1) > int64(e.config.MaxConnections) && !e.handshakes.giveWay() {
		e.connClosed()
		e.refused.Add(1)
		if secure == nil {
			_ = nc.SetDeadline(time.Now().Add(refuseWriteTimeout))
			_, _ = nc.Write([]byte(e.config.RefusedLine)) // the client may be gone
		}
		_ = nc.Close()
		return
	}
	e.accepted.Add(1)
	if secure != nil {
		e.startHandshake(nc, secure)
		return
	}
	e.watch(nc, nil)
}

// watch gives a connection to a loop, which decrypts it if secure is not nil. It returns
// when the loop has it.
func (e *Engine) watch(nc net.Conn, secure *tlsConn) {
	remote := nc.RemoteAddr().String()
	if err := e.loops.watch(nc, secure); err != nil {
		e.refusals.Error("watch a connection", "remote", remote, "error", err)
		e.connClosed()
	}
}
