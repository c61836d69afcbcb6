//go:build !race

package peer

import (
	"testing"

	"raftcached/replication/identity"
)

// A small message allocates nothing and reaches the socket before put returns.
func TestDirectWriteAllocatesNothing(t *testing.T) {
	conn, peer := pipe(t)
	s := newSender(t.Context(), newTransport(Config{}), identity.Member{}, StreamControl, 8<<20)
	s.connect(conn)
	o := outgoing{kind: kindSignal, payload: []byte("signal")}
	b := make([]byte, 100)
	got := testing.AllocsPerRun(100, func() {
		s.beQuiet()
		if !s.put(o) {
			t.Fatal("dropped")
		}
		if n, err := peer.Read(b); err != nil || n == 0 {
			t.Fatal(n, err)
		}
	})
	if got != 0 {
		t.Fatalf("%v allocations", got)
	}
}
