package admin

import (
	"container/list"
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// limited is a listener with at most so many open connections. For one more the oldest gives way
// that has no request being answered: so connections that ask nothing, or ask slowly, keep
// nobody out, and no probe. While all are being answered the next one waits.
type limited struct {
	net.Listener
	most int

	mu     sync.Mutex
	change *sync.Cond // one has closed, or is being answered no more, or the listener has closed
	open   list.List  // of *limitedConn, the oldest first
	closed bool
}

func limit(l net.Listener, conns int) *limited {
	limited := &limited{Listener: l, most: conns}
	limited.change = sync.NewCond(&limited.mu)
	return limited
}

// Accept implements net.Listener.
func (l *limited) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &limitedConn{Conn: conn, limited: l}
	l.mu.Lock()
	for l.open.Len() >= l.most && !l.closed {
		if oldest := l.idle(); oldest != nil {
			l.open.Remove(oldest.at)
			_ = oldest.Conn.Close() // its goroutine notices
		} else {
			l.change.Wait()
		}
	}
	closed := l.closed
	if !closed {
		c.at = l.open.PushBack(c)
	}
	l.mu.Unlock()
	if closed {
		_ = conn.Close() // nobody knows it
		return nil, net.ErrClosed
	}
	return c, nil
}

// idle returns the oldest connection that is not being answered, or nil. The caller holds mu.
func (l *limited) idle() *limitedConn {
	for e := l.open.Front(); e != nil; e = e.Next() {
		if c := e.Value.(*limitedConn); c.answering == 0 {
			return c
		}
	}
	return nil
}

// Close implements net.Listener.
func (l *limited) Close() error {
	l.mu.Lock()
	l.closed = true
	l.change.Broadcast()
	l.mu.Unlock()
	return l.Listener.Close()
}

// limitedConn is a connection that counts.
type limitedConn struct {
	net.Conn
	limited   *limited
	at        *list.Element // in limited.open, unless it has given way or closed
	answering int           // requests; guarded by limited.mu
}

// Close implements net.Conn.
func (c *limitedConn) Close() error {
	l := c.limited
	l.mu.Lock()
	l.open.Remove(c.at) // nothing if it has given way
	l.change.Broadcast()
	l.mu.Unlock()
	return c.Conn.Close()
}

func (c *limitedConn) answers(n int) {
	l := c.limited
	l.mu.Lock()
	c.answering += n
	l.change.Broadcast()
	l.mu.Unlock()
}

// limitedKey is that of a request's *limitedConn.
type limitedKey struct{}

// withConn is an http.Server's ConnContext.
func withConn(ctx context.Context, conn net.Conn) context.Context {
	if encrypted, ok := conn.(*tls.Conn); ok {
		conn = encrypted.NetConn()
	}
	return context.WithValue(ctx, limitedKey{}, conn)
}

// answered notes which connections are being answered.
func answered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if c, ok := r.Context().Value(limitedKey{}).(*limitedConn); ok {
			c.answers(1)
			defer c.answers(-1)
		}
		next.ServeHTTP(w, r)
	})
}
