package server

import (
	"strings"
	"testing"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// silent is a backend of one item that records nothing.
type silent struct{}

func (silent) NewLoop(int, Completer) Loop            { return silent{} }
func (silent) State() stats.State                     { return stats.State{} }
func (silent) Stats(string) (protocol.StatList, bool) { return nil, true }
func (silent) Members(string) (uint64, []Member)      { return 1, nil }
func (silent) Barrier() Grant                         { return GrantAll }
func (silent) BarrierOfAll() Grant                    { return GrantAll }
func (silent) Write(*protocol.Request) (int, int)     { return 0, 0 }
func (silent) Grants() bool                           { return true }
func (silent) Flush()                                 {}
func (silent) ReadBehind([][]byte) (int, bool)        { return 0, false }
func (silent) Prepare([][]byte)                       {}

func (silent) List(dst []byte, _ protocol.Command, _ uint64, _ int) ([]byte, uint64, int, bool) {
	return dst, 0, 0, false
}

func (silent) Absent(key []byte, _ Heed) bool { return string(key) == "none" }

func (silent) Await([][]byte, Heed, any) (Heed, bool) { return Heed{}, false }

func (silent) Look(dst []byte, req *protocol.Request, _ Heed) ([]byte, Found) {
	if string(req.Key) != "a" {
		return protocol.AppendAnswer(dst, req.Command, &req.Form, &silentMiss), Miss
	}
	return protocol.AppendAnswer(dst, req.Command, &req.Form, &silentHit), Hit
}

var (
	silentMiss = protocol.Result{Status: protocol.StatusMiss}
	silentHit  = protocol.Result{Status: protocol.StatusHit, Value: []byte("x"), SizeBytes: 1}
)

func (silent) Get(dst, key []byte, withCAS bool, _ Heed) ([]byte, Found) {
	if string(key) != "a" {
		return dst, Miss
	}
	return append(dst, "VALUE a 0 1\r\nx\r\n"...), Hit
}

func TestGetAllocatesNothing(t *testing.T) {
	f := openFake(silent{}, strings.Repeat("get a\r\nget none\r\ngets a none a\r\n", 10))
	f.turn()
	if want := 10 * len("VALUE a 0 1\r\nx\r\nEND\r\nEND\r\nVALUE a 0 1\r\nx\r\nVALUE a 0 1\r\nx\r\nEND\r\n"); len(f.wrote) != want {
		t.Fatalf("wrote %d bytes, want %d", len(f.wrote), want)
	}
	if n := testing.AllocsPerRun(100, f.turn); n != 0 {
		t.Errorf("30 requests in a turn: %v allocations, want 0", n)
	}
}

func TestGatsOfMissingKeysAllocateNothing(t *testing.T) {
	f := openFake(silent{}, strings.Repeat("gat 0 none none\r\nmg none T0 v\r\n", 10))
	f.turn()
	if want := 10 * len("END\r\nEN\r\n"); len(f.wrote) != want {
		t.Fatalf("wrote %d bytes, want %d", len(f.wrote), want)
	}
	if n := testing.AllocsPerRun(100, f.turn); n != 0 {
		t.Errorf("20 requests in a turn: %v allocations, want 0", n)
	}
}

func TestMetaAndBinaryReadsAllocateNothing(t *testing.T) {
	for name, requests := range map[string]string{
		"meta":   strings.Repeat("mg a v s k Oopaque\r\nmg none q\r\nmg YQ== b v\r\nmn\r\n", 10),
		"binary": strings.Repeat(packet(0x0c, "a", "")+packet(0x09, "none", "")+packet(0x0a, "", ""), 10),
	} {
		f := openFake(silent{}, requests)
		f.turn()
		if len(f.wrote) == 0 {
			t.Fatalf("%s: nothing was answered", name)
		}
		if n := testing.AllocsPerRun(100, f.turn); n != 0 {
			t.Errorf("%s: a pipeline of reads: %v allocations, want 0", name, n)
		}
	}
}

// BenchmarkGet measures what the server adds to a pipeline of 32 gets, between
// the read and the write of the socket.
func BenchmarkGet(b *testing.B) {
	f := openFake(silent{}, strings.Repeat("get a\r\n", 32))
	b.ReportAllocs()
	for b.Loop() {
		f.turn()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/32, "ns/get")
}

func TestFifoKeepsOrder(t *testing.T) {
	var q fifo[int]
	next, oldest := 0, 0
	for round := range 200 {
		for range round % 13 {
			q.push(next)
			next++
		}
		for range min(q.n, round%11) {
			if got := *q.front(); got != oldest {
				t.Fatalf("got %d, want %d", got, oldest)
			}
			q.pop()
			oldest++
		}
	}
	for ; q.n > 0; oldest++ {
		if got := *q.front(); got != oldest {
			t.Fatalf("got %d, want %d", got, oldest)
		}
		q.pop()
	}
	if oldest != next || q.front() != nil {
		t.Errorf("%d entries came out, want %d", oldest, next)
	}
	if n := testing.AllocsPerRun(100, func() { q.push(1); q.pop() }); n != 0 {
		t.Errorf("push and pop: %v allocations, want 0", n)
	}
}
