package server

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/measure"
	"raftcached/protocol"
)

// hands is a clock that a test sets.
type hands struct{ at atomic.Int64 }

func (h *hands) read() time.Duration          { return time.Duration(h.at.Load()) }
func (h *hands) forward(d time.Duration)      { h.at.Add(int64(d)) }
func (h *hands) of(o *Options)                { o.clock = h.read }
func slowFrom(d time.Duration) func(*Options) { return func(o *Options) { o.SlowTime = d } }

// took returns how many commands were measured, and their sum.
func took(s *Server, c measure.Command) (n uint64, sum time.Duration) {
	m := s.Measured()
	seconds, _ := m.Latencies[c].Seconds()
	return m.Latencies[c].Count(), time.Duration(seconds*1e9 + 0.5)
}

// TestWritesAreMeasured: from when they were read to when they are answered, each once,
// by command, and slow ones are kept with what they have waited for.
func TestWritesAreMeasured(t *testing.T) {
	var clock hands
	b := newMemory()
	s := start(t, b, clock.of, slowFrom(20*time.Millisecond), func(o *Options) {
		o.Causes = func(took time.Duration) (c measure.Causes) {
			c[measure.CauseDisk] = took / 2
			return c
		}
	})
	c := dial(t, s)
	clock.forward(time.Hour)
	c.Ask("set a 0 0 1", "1")
	b.hold()
	c.Send("set a 0 0 1", "x", "incr n 1", "gat 0 a b", "delete a", "touch a 0", "ms m 1", "y", "md m q", "mn", "set z 0 0 1 noreply", "z", "version")
	await(t, "the writes", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiting) > 0 })
	clock.forward(50 * time.Millisecond)
	b.release()
	c.Expect("STORED", "NOT_FOUND", "VALUE a 0 1", "x", "END", "DELETED", "NOT_FOUND", "HD", "MN", "VERSION 1.6.45")
	await(t, "the last write to be measured", func() bool { _, seen := s.Slow(); return seen == 8 })
	for command, want := range map[measure.Command]uint64{measure.Set: 4, measure.Incr: 1, measure.Gat: 1, measure.Delete: 2, measure.Touch: 1, measure.Get: 0} {
		n, sum := took(s, command)
		long := 50 * time.Millisecond * time.Duration(want)
		if command == measure.Set {
			long -= 50 * time.Millisecond // the first one
		}
		if n != want || sum < long || sum > long+time.Duration(want)*time.Microsecond {
			t.Errorf("%v: %d with %v, want %d with %v", command, n, sum, want, long)
		}
	}
	slow, seen := s.Slow()
	if seen != 8 || len(slow) != 8 {
		t.Fatalf("%d slow commands, want 8: %v", seen, slow)
	}
	for i, want := range []string{"set z", "delete m", "set m", "touch a", "delete a", "gat a", "incr n", "set a"} {
		if got := fmt.Sprintf("%v %s", slow[i].Command, slow[i].Key); got != want || slow[i].Took != 50*time.Millisecond || slow[i].Causes[measure.CauseDisk] != 25*time.Millisecond {
			t.Errorf("slow command %d is %s, took %v, for %v; want %s", i, got, slow[i].Took, slow[i].Causes, want)
		}
	}
}

// TestWaitingReadsAreMeasured: each, also those that came while others waited, and the
// cause is the confirmation that they waited for.
func TestWaitingReadsAreMeasured(t *testing.T) {
	var clock hands
	b := newMemory()
	b.delayBarriers = true
	s := start(t, b, clock.of, slowFrom(20*time.Millisecond))
	c := dial(t, s)
	clock.forward(time.Hour)
	c.Ask("set a 0 0 1", "1")
	b.hold()
	c.Send("get a", "mg a", "get none")
	await(t, "the barrier", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiting) > 0 })
	clock.forward(30 * time.Millisecond)
	b.release()
	c.Expect("VALUE a 0 1", "1", "END", "HD", "END")
	await(t, "the reads to be measured", func() bool { n, _ := took(s, measure.Get); return n == 3 })
	n, sum := took(s, measure.Get)
	if n != 3 || sum != 90*time.Millisecond {
		t.Errorf("%d gets took %v, want 3 with 90 ms", n, sum)
	}
	slow, _ := s.Slow()
	if len(slow) != 3 || slow[0].Key != "none" || slow[2].Causes[measure.CauseConfirmation] != 30*time.Millisecond {
		t.Errorf("slow are %+v", slow)
	}
}

// TestLateInput: what has waited is late up to its end, and what came meanwhile since it
// came.
func TestLateInput(t *testing.T) {
	var d late
	want := func(what string, begun time.Duration, left int) {
		t.Helper()
		if d.left != left || left > 0 && d.begun != begun {
			t.Fatalf("%s: %d bytes since %d, want %d since %d", what, d.left, d.begun, left, begun)
		}
	}
	d.begin(5, 10, waitBarrier)
	d.arrived(6, 10) // nothing more
	d.arrived(7, 14)
	d.arrived(8, 17)
	d.came(9)
	d.consume(4)
	want("the first request", 5, 6)
	d.begin(10, 6, waitWrites)
	d.came(12)
	d.consume(6)
	want("what came meanwhile", 7, 7)
	d.consume(9) // it was not complete when it came
	want("the end", 0, 0)
	if d.spent[measure.CauseConfirmation] != 4 || d.spent[measure.CauseOrder] != 2 {
		t.Errorf("it waited for %v", d.spent)
	}
	d.begin(20, 3, waitChange)
	want("another one", 20, 3)
	if d.spent != (measure.Causes{}) {
		t.Errorf("another one has waited for %v", d.spent)
	}
}

// TestReadsAreSampled: of those that are answered at once some are measured, and count for
// all, whether there is one in an event or many.
func TestReadsAreSampled(t *testing.T) {
	for _, each := range []int{1, 20} {
		f := openFake(silent{}, strings.Repeat("get a\r\n", each))
		now := time.Duration(0)
		f.c.loop.options.clock = func() time.Duration { now += 3 * time.Microsecond; return now }
		const events = 20_000
		for range events {
			f.turn()
		}
		var d measure.Distribution
		d.Include(&f.c.loop.timing.latencies[measure.Get])
		want := float64(events * each)
		if n := float64(d.Count()); n < 0.9*want || n > 1.1*want {
			t.Errorf("%d gets in an event: %v are counted, want about %v", each, n, want)
		}
		if sum, _ := d.Seconds(); sum < 0.9*3e-6*want || sum > 1.1*3e-6*want {
			t.Errorf("%d gets in an event: they took %v s, want about %v", each, sum, 3e-6*want)
		}
	}
}

// TestHotKeysOfAServer: a key that is asked for often is told, with its rate and escaped,
// and one that is not is not.
func TestHotKeysOfAServer(t *testing.T) {
	var clock hands
	s := start(t, newMemory(), clock.of)
	c := dial(t, s)
	const hot = "hot%\x01key"
	c.Ask("set "+hot+" 0 0 1", "1")
	clock.forward(10 * time.Second)
	const gets, pieces = 40_000, 100
	for range pieces {
		c.Send(strings.TrimSuffix(strings.Repeat("mg "+hot+" s\r\n", gets/pieces), "\r\n"), "mn")
		for range gets / pieces {
			c.ReadLine()
		}
		c.Expect("MN")
	}
	c.Send("mg cold", "mn")
	c.Expect("EN", "MN")
	await(t, "the hot key", func() bool {
		top, on := s.HotKeys()
		return on && len(top) == 1 && top[0].Key == hot && top[0].Reads > 3600 && top[0].Reads < 4400
	})
	stats := c.Stats("hotkeys")
	if stats["1:key"] != "hot%25%01key" || stats["1:reads_per_second"] == "" || stats["2:key"] != "" {
		t.Errorf("stats hotkeys: %v", stats)
	}
	c = dial(t, start(t, newMemory(), func(o *Options) { o.HotKeysOff = true }))
	c.Ask("get a")
	if stats := c.Stats("hotkeys"); stats["hotkeys_status"] != "disabled" {
		t.Errorf("where none are counted: %v", stats)
	}
}

// TestKeysAreNotToldWhereTheyMayNotBeListed: with -X neither hot nor slow ones are.
func TestKeysAreNotToldWhereTheyMayNotBeListed(t *testing.T) {
	var clock hands
	b := newMemory()
	s := start(t, b, clock.of, slowFrom(time.Millisecond), func(o *Options) { o.DumpDisabled = true })
	c := dial(t, s)
	b.hold()
	c.Send("set secret 0 0 1", "1")
	await(t, "the write", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return len(b.waiting) > 0 })
	clock.forward(time.Second)
	b.release()
	c.Expect("STORED")
	await(t, "the slow one", func() bool { _, seen := s.Slow(); return seen == 1 })
	for _, arg := range []string{"slow", "hotkeys"} {
		for name, value := range c.Stats(arg) {
			if strings.Contains(value, "secret") {
				t.Errorf("stats %s: %s %s", arg, name, value)
			}
		}
	}
	if stats := c.Stats("slow"); stats["slow_commands"] != "1" || stats["1:us"] != "1000000" || stats["1:command"] != "set" {
		t.Errorf("stats slow: %v", stats)
	}
}

// TestNamesKeepOrder pushes and drops keys of all lengths through a queue that grows.
func TestNamesKeepOrder(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	var q names
	var want [][]byte
	for range 20_000 {
		if rng.IntN(100) < 51 {
			key := bytes.Repeat([]byte{byte(rng.IntN(256))}, rng.IntN(measure.KeyBytesMax+1))
			q.push(key)
			want = append(want, key)
		} else if len(want) > 0 {
			if got := q.front(); !bytes.Equal(got, want[0]) {
				t.Fatalf("got %d bytes %q, want %d %q", len(got), got, len(want[0]), want[0])
			}
			q.drop(1 + len(want[0]))
			want = want[1:]
		}
	}
	for _, key := range want {
		q.drop(1 + len(key))
	}
	if q.n != 0 {
		t.Fatalf("%d bytes are left", q.n)
	}
}

func TestCommandsHaveTheirNames(t *testing.T) {
	for command, want := range map[protocol.Command]string{
		protocol.Get: "get", protocol.MetaGet: "get", protocol.Gats: "gat", protocol.MetaGat: "gat", protocol.Append: "set",
		protocol.CAS: "cas", protocol.Decr: "incr", protocol.Touch: "touch", protocol.FlushAll: "other",
	} {
		if got := commandOf(command).String(); got != want {
			t.Errorf("%v is counted as %s, want %s", command, got, want)
		}
	}
}

// BenchmarkWriteTimed is what measuring adds to writes that come 16 at a time: their notes, and what
// is done with these when they are answered.
func BenchmarkWriteTimed(b *testing.B) {
	f := openFake(silent{}, "")
	l, c := f.c.loop, f.c
	start := time.Now()
	l.options.clock = func() time.Duration { return time.Since(start) }
	req := &protocol.Request{Command: protocol.Set, Key: []byte("a key of 20 bytes...")}
	var waiters [16]writeWaiter
	b.ReportAllocs()
	for b.Loop() {
		for i := range waiters {
			c.noteWrite(req, &waiters[i])
		}
		l.timing.fresh = false
		for i := range waiters {
			l.timing.writeDone(&waiters[i])
		}
		l.timing.end()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(len(waiters)), "ns/write")
}

// BenchmarkReadTimed is what measuring adds to an event with 16 gets.
func BenchmarkReadTimed(b *testing.B) {
	f := openFake(silent{}, "")
	t := &f.c.loop.timing
	start := time.Now()
	f.c.loop.options.clock = func() time.Duration { return time.Since(start) }
	req := &protocol.Request{Command: protocol.Get, Keys: [][]byte{[]byte("a key of 20 bytes...")}}
	t.hot = new(measure.Ring)
	f.c.loop.server.hot = newHotKeys(f.c.loop.options.clock)
	b.ReportAllocs()
	for b.Loop() {
		t.begin()
		for range 16 {
			t.sample(req.Keys)
			if t.sampled || f.c.late.left > 0 {
				f.c.noteRead(req, req.Keys[0])
			}
		}
		t.end()
		t.hot.Drain(func([]byte, bool, float64) {})
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/16, "ns/get")
}

// TestWritesAllocateNothingToBeTimed: nor do their keys.
func TestWritesAllocateNothingToBeTimed(t *testing.T) {
	f := openFake(silent{}, "")
	req := &protocol.Request{Command: protocol.Set, Key: []byte("key"), Value: []byte("value")}
	var w writeWaiter
	if n := testing.AllocsPerRun(1000, func() {
		f.c.noteWrite(req, &w)
		f.c.loop.timing.writeDone(&w)
		f.c.loop.timing.end()
	}); n != 0 {
		t.Errorf("%v allocations for a write, want 0", n)
	}
}

// TestEveryWaitHasACause: a wait that nobody thought of would be told as one for a leader,
// which no connection waits for.
func TestEveryWaitHasACause(t *testing.T) {
	for w := waitNothing + 1; w <= waitClient; w++ {
		if causeOf[w] == measure.CauseLeader {
			t.Errorf("wait %d has no cause", w)
		}
	}
}
