package node

import (
	"testing"

	"raftcached/protocol"
	"raftcached/protocol/server"
)

// onLoop runs f on the goroutine of the node's first event loop.
func onLoop(n *Node, f func(l *loopBackend)) {
	done := make(chan struct{})
	n.loops[0].loop.Post(func() {
		defer close(done)
		f(n.loops[0])
	})
	<-done
}

// request parses one request.
func request(t *testing.T, text string) *protocol.Request {
	t.Helper()
	req := &protocol.Request{}
	if _, v := protocol.NewParser(1<<20, nil).Parse([]byte(text), req); v != protocol.Ready {
		t.Fatalf("%q is verdict %d", text, v)
	}
	return req
}

func TestLookTellsWhatItMet(t *testing.T) {
	n := openNode(t, loneConfig(t))
	play(t, n, "C: ms a 1 T100\nC: x\nS: HD\nC: ms stale 1\nC: x\nS: HD\nC: md stale I\nS: HD\n")
	for _, test := range []struct {
		request, reply string
		found          server.Found
	}{
		{"mg a v\r\n", "VA 1\r\nx\r\n", server.Hit},
		{"mg a R200 N30\r\n", "", server.NeedsWrite},
		{"mg a R50 N30\r\n", "HD\r\n", server.Hit},
		{"mg none\r\n", "EN\r\n", server.Miss},
		{"mg none q\r\n", "", server.Miss},
		{"mg none N30\r\n", "", server.NeedsWrite},
		{"mg stale\r\n", "", server.NeedsWrite},
		{"me none\r\n", "EN\r\n", server.Miss},
	} {
		req := request(t, test.request)
		onLoop(n, func(l *loopBackend) {
			if reply, found := l.Look(nil, req, server.Heed{}); string(reply) != test.reply || found != test.found {
				t.Errorf("%q: %q and %d, want %q and %d", test.request, reply, found, test.reply, test.found)
			}
		})
	}
}

func TestLookAllocatesNothing(t *testing.T) {
	n := openNode(t, loneConfig(t))
	play(t, n, "C: set a 0 0 1\nC: x\nS: STORED\n")
	hit, miss := request(t, "mg a v t h l k\r\n"), request(t, "mg none v\r\n")
	out := make([]byte, 0, 1024)
	onLoop(n, func(l *loopBackend) {
		if n := testing.AllocsPerRun(100, func() {
			_, _ = l.Look(out, hit, server.Heed{})
			_, _ = l.Look(out, miss, server.Heed{})
		}); n != 0 {
			t.Errorf("a hit and a miss: %v allocations, want 0", n)
		}
	})
}
