package peer

import (
	"net"
	"testing"
	"time"
)

// TestRedial: the wait grows while there is no connection, and with connections in a row that
// do not last. One that has lasted is dialed again at once.
func TestRedial(t *testing.T) {
	const ms = time.Millisecond
	var r redial
	waits := func(what string, want ...time.Duration) {
		t.Helper()
		for i, w := range want {
			if got := r.next(); got < w/2 || got >= w/2+w {
				t.Errorf("%s: wait %d is %v, want about %v", what, i+1, got, w)
			}
		}
	}
	waits("a server that is away", 10*ms, 20*ms, 40*ms, 80*ms, 160*ms, 320*ms, 500*ms, 500*ms)
	r.ended(time.Hour)
	waits("it is restarted", 10*ms, 20*ms, 40*ms)
	for _, w := range []time.Duration{20 * ms, 40 * ms, 80 * ms, 160 * ms, 320 * ms, 500 * ms, 500 * ms} {
		r.ended(redialMax - 1)
		waits("it ends each connection", w)
	}
	r.ended(redialMax)
	waits("one has lasted", 10*ms, 20*ms)
	r.ended(ms)
	waits("one has not", 20*ms, 40*ms)
}

// TestPeerThatEndsEachConnection, behind a handshake that is in order, is dialed less and less
// often: else it would be a hundred times a second.
func TestPeerThatEndsEachConnection(t *testing.T) {
	list := members(2)
	a, b := listen(t, list, 0, nil), listen(t, list, 1, nil)
	formAll(t, a, b)
	<-a.inbox.restored
	must(t, b.Close())
	l, err := net.Listen("tcp", address(list[1]))
	must(t, err)
	done := make(chan struct{})
	defer func() {
		must(t, l.Close())
		<-done
	}()
	go func() {
		defer close(done)
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_, _ = b.answer(conn) // it fails if the dialer ends
			_ = conn.Close()
		}
	}()
	const connections = 8
	<-a.inbox.restored
	began := time.Now()
	for range connections - 1 {
		<-a.inbox.restored
	}
	if took := time.Since(began); took < redialMax { // the waits are longer, and so is a connection that lasts
		t.Errorf("%d connections in %v", connections, took)
	}
}
