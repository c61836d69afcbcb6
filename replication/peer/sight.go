package peer

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode"
)

// noAnswer is why there is no connection while the first attempt is under way.
const noAnswer = "no answer yet"

// Sight is what a node sees of a peer: whether there is a connection to it.
type Sight struct {
	Connected bool
	Since     time.Time // when Connected became what it is
	Why       string    // why there is none, in a few words; empty while there is
	Heard     time.Time // when something last came from it; zero: never
}

// Sight returns what is seen of a peer, by the rules of Connected. It is zero for
// who is no peer.
func (t *Transport) Sight(raftID uint64) Sight {
	s := t.to(raftID)
	if s == nil {
		return Sight{}
	}
	c := s.control
	c.mu.Lock()
	defer c.mu.Unlock()
	sight := Sight{Connected: c.connected, Since: c.since}
	if !c.connected {
		sight.Why = cmp.Or(c.why, noAnswer)
	}
	if ns := t.heardOf(raftID).Load(); ns != 0 {
		sight.Heard = time.Unix(0, ns)
	}
	return sight
}

// heardOf returns where is noted when something last came from a peer, in ns of Unix
// time.
func (t *Transport) heardOf(raftID uint64) *atomic.Int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.heard[raftID]
	if h == nil {
		h = new(atomic.Int64)
		t.heard[raftID] = h
	}
	return h
}

// AdminAddr returns the host:port of a peer's admin port, as it has told it at the
// last handshake; empty: it has none, or there was no handshake.
func (t *Transport) AdminAddr(raftID uint64) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.admins[raftID]
}

func (t *Transport) noteAdmin(remote *Hello) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.admins[remote.RaftID] = remote.AdminAddr
}

// reason says in a few words why a connection has ended or could not be made.
func reason(err error) string {
	var (
		refused *RefusedError
		errno   syscall.Errno
		dns     *net.DNSError
		timeout net.Error
	)
	switch {
	case err == nil, errors.Is(err, io.EOF), errors.Is(err, net.ErrClosed), errors.Is(err, context.Canceled):
		return "connection closed"
	case errors.As(err, &refused):
		return refused.Sentence
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is unknown"
	case errors.As(err, &timeout) && timeout.Timeout():
		return "timeout"
	case errors.As(err, &errno):
		return errno.Error()
	}
	return strings.Map(printable, err.Error())
}

// printable replaces what changes a terminal, in what a stranger may have sent: it is shown
// where raftcachectl runs.
func printable(r rune) rune {
	if unicode.IsControl(r) {
		return '·'
	}
	return r
}
