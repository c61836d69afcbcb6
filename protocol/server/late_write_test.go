package server

import (
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/protocol"
)

// TestWriteThatWaitsTooLong is not done when there is room at last: its client has given
// it up. What follows it is.
func TestWriteThatWaitsTooLong(t *testing.T) {
	b := newMemory()
	b.inFlightMax, b.held = 8, true
	b.items["b"] = storedItem{value: []byte("1")}
	var hours atomic.Int64
	s := start(t, b, func(o *Options) {
		o.WriteWait = time.Hour
		o.Now = func() time.Time { return time.Unix(1_800_000_000+hours.Load()*3600, 0) }
	})
	first, late, gat := dial(t, s), dial(t, s), dial(t, s)
	first.Send(slices.Repeat([]string{"touch b 0"}, 8)...)
	b.awaitEvents(8)
	late.Send("set a 0 0 1", "x", "touch b 0", "get a")
	awaitBlocked(t, s, 1)
	gat.Send("gat 0 b b", "gat 0 b")
	awaitBlocked(t, s, 2)
	hours.Add(1)
	b.release()
	first.Expect(slices.Repeat([]string{"TOUCHED"}, 8)...)
	late.Expect("SERVER_ERROR too many writes wait, try again later", "TOUCHED", "END")
	gat.Expect("SERVER_ERROR too many writes wait, try again later", "VALUE b 0 1", "1", "END")
}

func awaitBlocked(t *testing.T, s *Server, n int) {
	t.Helper()
	await(t, "writes wait for room", func() (blocked bool) {
		onLoop(s, func(l *loop) { blocked = len(l.blocked) == n })
		return blocked
	})
}

// TestWaitForRoomIsForgotten: a read that waited for room, as it was to change its item, and has
// become one that changes nothing, leaves nothing that a later write is judged by.
func TestWaitForRoomIsForgotten(t *testing.T) {
	b := &steps{}
	f := openFake(b, "")
	long := time.Now().Add(-time.Hour)
	f.c.blockedAt = long
	f.receive("version\r\n")
	if !f.c.blockedAt.IsZero() {
		t.Error("kept after an answer")
	}
	f.c.blockedAt = long
	f.receive("get a\r\n")
	b.l.BarriersDone(1, protocol.StatusOK)
	b.l.ResultsEnd()
	if f.Buffered() > 0 || !f.c.blockedAt.IsZero() {
		t.Errorf("%d bytes wait; the time is kept after a read: %v", f.Buffered(), !f.c.blockedAt.IsZero())
	}
}

// TestWriteThatWaitsTooLongBehindOthers is refused behind the answers to those.
func TestWriteThatWaitsTooLongBehindOthers(t *testing.T) {
	for _, late := range []string{"delete b\r\n", "gat 0 b c\r\n", "mg b T0 v\r\n"} {
		f, b := openJoining(func(b *memory) { b.inFlightMax = 2 })
		now := time.Now()
		f.c.loop.options.WriteWait, f.c.loop.options.Now = time.Hour, func() time.Time { return now }
		f.receive("delete a\r\nget a\r\n" + late)
		f.c.loop.TurnEnd()
		f.wantWait(t, late+"finds no room", waitBackend, "")
		now = now.Add(time.Hour)
		f.c.loop.ResultsEnd() // of another connection
		f.wantWait(t, late+"has waited too long", waitWrites, "")
		f.settle(b)
		f.wantWait(t, late+"is refused", waitNothing, "DELETED\r\nEND\r\nSERVER_ERROR too many writes wait, try again later\r\n")
		if len(f.c.loop.blocked) > 0 || !f.c.blockedAt.IsZero() {
			t.Errorf("%q is left behind", late)
		}
	}
}
