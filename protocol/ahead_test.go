package protocol

import (
	"bytes"
	"testing"
)

func TestAheadKeys(t *testing.T) {
	get := func(key string) string { // of Binary
		return string(appendHeader(nil, binaryMagic, 0, &header{key: len(key), body: len(key)})) + key
	}
	for _, c := range []struct {
		in   string
		keys string
		span int
	}{
		{"", "", 0},
		{"get a\r\n", "a", 7},
		{"get a\r\ngets b c\r\nget d\n", "a b c d", 23},
		{"get a\r\nget b", "a", 7},
		{"get a\r\nset b 0 0 1\r\nx\r\nget c\r\n", "a", 7},
		{"get a b c d e\r\n", "", 0}, // more than there is room for
		{"get a b\r\nget c d e\r\n", "a b", 9},
		{"get \r\nget  a \r\n", "a", 15},
		{"version\r\n", "", 0},
		{"mg a v t\r\nget b\r\nmg c\r\nmn\r\n", "a b c", 23},
		{"mg \r\n", "", 5},
		{get("a") + get("bc") + "\x80\x0a", "a bc", 51},
		{get("a")[:24], "", 0},
		{"\x80\x01" + get("a")[2:], "", 0}, // a set
	} {
		keys, span := AheadKeys([]byte(c.in), make([][]byte, 0, 4))
		if got := string(bytes.Join(keys, []byte(" "))); got != c.keys || span != c.span {
			t.Errorf("%q: keys %q in %d bytes, want %q in %d", c.in, got, span, c.keys, c.span)
		}
	}
}

func TestWriteAhead(t *testing.T) {
	packet := func(code uint8, key string) string {
		return string(appendHeader(nil, binaryMagic, 0, &header{opcode: code, key: len(key), body: len(key)})) + key
	}
	for in, want := range map[string]bool{
		"": false, "get a\r\n": false, "get a\r\nget b": false, "version\r\nset a 0 0 1\r\n": false,
		"get a\r\nset b 0 0 1\r\nx\r\n": true, "set b": true, "get a\r\ngets b c\nincr n 1\r\n": true, "get a\r\ndel": false,
		"get a\r\nmg b v\r\nset b 0 0 1\r\nx\r\n": false, "get a\r\nms b 1\r\nx\r\n": true, "gat 0 a\r\n": true, "flush_all ": true, "flush_allx ": false,
		"settled a\r\n": false, "get set a\r\n": false,
		packet(0, "a") + packet(4, "a"): true, packet(0, "a") + packet(9, "bc") + packet(0x0a, ""): false, packet(0, "a")[:24]: false, packet(0, "a") + "\x80\x01": false,
	} {
		if _, got := WriteAhead([]byte(in)); got != want {
			t.Errorf("%q: %v, want %v", in, got, want)
		}
		for n := range in { // as it arrives, with no get looked at twice
			span, _ := WriteAhead([]byte(in[:n]))
			more, got := WriteAhead([]byte(in[span:]))
			if all, _ := WriteAhead([]byte(in)); got != want || span+more != all {
				t.Errorf("%q, %d bytes first: %v behind %d and %d bytes, want %v behind %d", in, n, got, span, more, want, all)
			}
		}
	}
}
