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
