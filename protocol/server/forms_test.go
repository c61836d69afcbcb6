package server

import (
	"bytes"
	"fmt"
	"testing"

	"raftcached/protocol"
)

func TestFormsComeBackInTheirOrder(t *testing.T) {
	var (
		s            forms
		next, oldest int
		input        [40]byte // overwritten each time, as a connection's is
	)
	for round := range 300 {
		for range round % 13 {
			flags := fmt.Appendf(input[:0], "k O%d", next)
			key := fmt.Appendf(input[20:20], "%d", next)
			s.push(&protocol.Form{Codec: protocol.Meta, Opaque: uint32(next), Flags: flags, Key: key[:next%3%(len(key)+1)]})
			next++
		}
		for range min(s.queue.n, round%11) {
			f := s.pop()
			want := fmt.Sprint(oldest)
			if string(f.Flags) != "k O"+want || f.Opaque != uint32(oldest) || !bytes.HasPrefix([]byte(want), f.Key) {
				t.Fatalf("got flags %q, key %q, opaque %d, want those of %d", f.Flags, f.Key, f.Opaque, oldest)
			}
			oldest++
		}
		if used := len(s.bytes) - s.head; len(s.bytes) > 4*used+1000 {
			t.Fatalf("%d bytes are kept for forms of %d", len(s.bytes), used)
		}
	}
	for s.queue.n > 0 {
		s.pop()
	}
	f := protocol.Form{Codec: protocol.Meta, Flags: []byte("v"), Key: []byte("key")}
	if n := testing.AllocsPerRun(1000, func() { s.push(&f); s.push(&f); s.pop(); s.pop() }); n != 0 {
		t.Errorf("push and pop: %v allocations, want 0", n)
	}
}
