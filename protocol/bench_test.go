package protocol_test

import (
	"strings"
	"testing"

	"raftcached/protocol"
)

// hotRequests are what a busy server parses most.
var hotRequests = []struct{ name, input string }{
	{"get", "get some-key-of-20-bytes\r\n"},
	{"multiget of 32", "get" + strings.Repeat(" some-key-of-20-bytes", 32) + "\r\n"},
	{"set of 100 bytes", "set some-key-of-20-bytes 0 300 100\r\n" + strings.Repeat("x", 100) + "\r\n"},
	{"cas of 100 bytes", "cas some-key-of-20-bytes 0 300 100 123456 noreply\r\n" + strings.Repeat("x", 100) + "\r\n"},
	{"mg", "mg some-key-of-20-bytes v\r\n"},
	{"mg in base64", "mg c29tZS1rZXktb2YtMjAtYnl0ZXM= b v k Oopaque\r\n"},
	{"ms of 100 bytes", "ms some-key-of-20-bytes 100 T300 q\r\n" + strings.Repeat("x", 100) + "\r\n"},
	{"incr", "incr some-key-of-20-bytes 1\r\n"},
	{"packet of get", packet(opGet, 20, 0, "some-key-of-20-bytes")},
	{"packet of set of 100 bytes", packet(opSet, 20, 8, "flagexptsome-key-of-20-bytes"+strings.Repeat("x", 100))},
}

func BenchmarkParse(b *testing.B) {
	for _, r := range hotRequests {
		b.Run(r.name, func(b *testing.B) {
			p := protocol.NewParser(itemBytesMax, nil)
			input := []byte(r.input)
			var req protocol.Request
			b.ReportAllocs()
			b.SetBytes(int64(len(input)))
			for b.Loop() {
				if _, v := p.Parse(input, &req); v != protocol.Ready {
					b.Fatalf("verdict %d", v)
				}
				p.Consumed(&req)
			}
		})
	}
}

func BenchmarkAppendValue(b *testing.B) {
	key, value := []byte("some-key-of-20-bytes"), []byte(strings.Repeat("x", 100))
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = protocol.AppendValue(dst[:0], key, 0, 123456, true, value)
	}
}

func TestParsingAllocatesNothing(t *testing.T) {
	for _, r := range hotRequests {
		p := protocol.NewParser(itemBytesMax, nil)
		input := []byte(r.input)
		var req protocol.Request
		allocs := testing.AllocsPerRun(100, func() {
			for _, end := range []int{len(input) / 3, len(input) - 1, len(input)} {
				p.Parse(input[:end], &req)
			}
			p.Consumed(&req)
		})
		if allocs != 0 {
			t.Errorf("%s: %v allocations", r.name, allocs)
		}
	}
}

func TestReplyingAllocatesNothing(t *testing.T) {
	dst := make([]byte, 0, 256)
	hit := protocol.Result{Status: protocol.StatusHit, Key: []byte("k"), Value: []byte("v"), CAS: 1 << 40}
	number := protocol.Result{Status: protocol.StatusNumber, Number: 1 << 60}
	stored := protocol.Result{Status: protocol.StatusStored}
	allocs := testing.AllocsPerRun(100, func() {
		dst = protocol.AppendReply(dst[:0], protocol.Gats, &hit)
		dst = protocol.AppendReply(dst, protocol.Incr, &number)
		dst = protocol.AppendReply(dst, protocol.Set, &stored)
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
