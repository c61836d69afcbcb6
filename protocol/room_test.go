package protocol_test

import (
	"bytes"
	"testing"

	"raftcached/protocol"
)

// TestKeysOfManyParsersTakeOneRoom: as much as one request needs at a time, and little when
// a large one is done.
func TestKeysOfManyParsersTakeOneRoom(t *testing.T) {
	const keys = 100_000
	var room protocol.Room
	line := append(bytes.Repeat([]byte(" k"), keys), "\r\n"...)
	copyOf := func(command string) []byte { return append([]byte(command), line...) }
	var first, second protocol.Request
	p, q := protocol.NewParser(itemBytesMax, &room), protocol.NewParser(itemBytesMax, &room)
	parse := func(p *protocol.Parser, line []byte, req *protocol.Request, want int) {
		t.Helper()
		if n, v := p.Parse(line, req); v != protocol.Ready || n != len(line) || len(req.Keys) != want {
			t.Fatalf("verdict %d after %d bytes, %d keys; want all of %d bytes and %d keys", v, n, len(req.Keys), len(line), want)
		}
	}
	parse(p, copyOf("get"), &first, keys)
	parse(q, copyOf("gat 0"), &second, keys)
	if &first.Keys[0] != &second.Keys[0] || cap(second.Keys) > keys+1 {
		t.Errorf("two parsers have room for %d keys each, want one that is as large as it must be", cap(second.Keys))
	}
	p.Consumed(&first)
	parse(q, []byte("get a b\r\n"), &second, 2)
	if cap(second.Keys) > 1024 {
		t.Errorf("room for %d keys is kept", cap(second.Keys))
	}
}
