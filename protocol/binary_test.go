package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// describeBinary writes down what only packets say, but for what is zero.
func describeBinary(r *protocol.Request) string {
	var s strings.Builder
	fmt.Fprintf(&s, " opcode=%#02x", r.Form.Opcode)
	field := func(name string, value uint64) {
		if value != 0 {
			fmt.Fprintf(&s, " %s=%d", name, value)
		}
	}
	field("opaque", uint64(r.Form.Opaque))
	field("fields", uint64(r.Fields))
	field("initial", r.Initial)
	field("vivify", uint64(r.Vivify))
	field("status", uint64(r.Status))
	if r.Form.Key != nil {
		fmt.Fprintf(&s, " back=%q", r.Form.Key)
	}
	if r.Form.Quiet {
		s.WriteString(" quiet")
	}
	if r.HangUp {
		s.WriteString(" hangs up")
	}
	return s.String()
}

// packet puts a packet together; its body is extras, key and value.
func packet(opcode byte, keyBytes, extrasBytes int, body string) string {
	header := []byte{0x80, opcode, byte(keyBytes >> 8), byte(keyBytes), byte(extrasBytes), 0, 0, 0}
	n := len(body)
	header = append(header, byte(n>>24), byte(n>>16), byte(n>>8), byte(n))
	return string(header) + strings.Repeat("\x00", 12) + body
}

const (
	opGet     = 0x00
	opSet     = 0x01
	opNoop    = 0x0a
	opAppend  = 0x0e
	opStat    = 0x10
	opTouch   = 0x1c
	opUnknown = 0x1f
	opSASL    = 0x21
)

// TestHowMuchAPacketTakes shows how many bytes a request is, and how many more
// the client sends that nobody wants.
func TestHowMuchAPacketTakes(t *testing.T) {
	large := strings.Repeat("x", itemBytesMax)
	for _, c := range []struct {
		name, input string
		command     protocol.Command
		consumed    int
		swallowed   int
		hangsUp     bool
	}{
		{"noop", packet(opNoop, 0, 0, ""), protocol.Noop, 24, 0, false},
		{"get", packet(opGet, 3, 0, "key"), protocol.MetaGet, 27, 0, false},
		{"set", packet(opSet, 1, 8, "flagexptkvalue"), protocol.Set, 38, 0, false},
		{"set that is too large", packet(opSet, 1, 8, "flagexptk"+large), protocol.Set, 33, itemBytesMax, false},
		{"append that is too large", packet(opAppend, 1, 0, "k"+large), protocol.Append, 25, itemBytesMax, false},
		{"touch with a value", packet(opTouch, 1, 4, "exptkvalue"), protocol.Touch, 29, 5, false},
		{"stat with a value", packet(opStat, 5, 0, "sizesvalue"), protocol.Stats, 29, 5, false},
		{"stat that is in text only", packet(opStat, 5, 0, "connsvalue"), protocol.Invalid, 29, 5, false},
		{"unknown", packet(opUnknown, 3, 3, "extkeyvalue"), protocol.Invalid, 24, 11, false},
		{"long proof of who it is", packet(opSASL, 5, 0, "PLAIN"+large), protocol.Invalid, 29, itemBytesMax, false},
		{"what does not fit", packet(opGet, 3, 0, "keyvalue"), protocol.Invalid, 24, 0, true},
		{"key that is longer than the body", packet(opGet, 4, 0, "key"), protocol.Invalid, 24, 0, true},
	} {
		p := protocol.NewParser(itemBytesMax, nil)
		var req protocol.Request
		n, v := p.Parse([]byte(c.input), &req)
		if v != protocol.Ready || n != c.consumed || req.Command != c.command || req.HangUp != c.hangsUp {
			t.Errorf("%s: %d bytes, verdict %d, %s, want %d bytes, %v", c.name, n, v, describe(&req), c.consumed, c.command)
			continue
		}
		p.Consumed(&req)
		rest := c.input[n:] + packet(opNoop, 0, 0, "")
		n, v = p.Parse([]byte(rest), &req)
		switch {
		case c.hangsUp && v != protocol.Close:
			t.Errorf("%s: verdict %d behind it, want to close", c.name, v)
		case !c.hangsUp && c.swallowed > 0 && (n != c.swallowed || v != protocol.NeedMore):
			t.Errorf("%s: %d bytes swallowed, verdict %d, want %d", c.name, n, v, c.swallowed)
		case !c.hangsUp && c.swallowed == 0 && v != protocol.Ready:
			t.Errorf("%s: verdict %d behind it, want a request", c.name, v)
		}
	}
}

// TestPacketBytesNeeded shows that the parser says how much it waits for, and
// finds what is wrong before a body is there.
func TestPacketBytesNeeded(t *testing.T) {
	set := packet(opSet, 1, 8, "flagexptkvalue")
	for have, want := range map[int]int{1: 24, 23: 24, 24: 33, 32: 33, 33: 38, 37: 38} {
		p := protocol.NewParser(itemBytesMax, nil)
		var req protocol.Request
		if n, v := p.Parse([]byte(set[:have]), &req); n != 0 || v != protocol.NeedMore || p.BufferBytesNeeded() != want {
			t.Errorf("%d bytes: consumed %d, verdict %d, needs %d, want %d", have, n, v, p.BufferBytesNeeded(), want)
		}
	}
	var req protocol.Request
	if n, v := protocol.NewParser(itemBytesMax, nil).Parse([]byte(packet(opGet, 251, 0, strings.Repeat("k", 251))[:24]), &req); n != 24 || v != protocol.Ready {
		t.Errorf("header with a key of 251 bytes: consumed %d, verdict %d", n, v)
	}
}

// TestFirstByteDecides shows that a connection keeps what it began with.
func TestFirstByteDecides(t *testing.T) {
	for _, c := range []struct {
		input string
		want  []string
	}{
		{packet(opNoop, 0, 0, "") + "version\r\n", []string{"mn opcode=0x0a", "close"}},
		{packet(opNoop, 0, 0, "") + "\x81", []string{"mn opcode=0x0a", "close"}},
		{"version\r\n\x80\n\x80\x00\x00\r\n", []string{
			"version", `invalid reply="CLIENT_ERROR bad command line format\r\n"`, `invalid reply="ERROR\r\n"`,
		}},
	} {
		if got := parseAll(c.input); !slices.Equal(got, c.want) {
			t.Errorf("%q is parsed as %q, want %q", c.input, got, c.want)
		}
	}
}

// TestBinaryErrors shows what packets say of each failure.
func TestBinaryErrors(t *testing.T) {
	for _, c := range []struct {
		command protocol.Command
		status  protocol.Status
		code    byte
		text    string
	}{
		{protocol.Add, protocol.StatusNotStored, 0x02, "Data exists for key."},
		{protocol.Replace, protocol.StatusNotStored, 0x01, "Not found"},
		{protocol.Append, protocol.StatusNotStored, 0x05, "Not stored."},
		{protocol.Set, protocol.StatusExists, 0x02, "Data exists for key."},
		{protocol.Delete, protocol.StatusNotFound, 0x01, "Not found"},
		{protocol.Set, protocol.StatusTooLarge, 0x03, "Too large."},
		{protocol.Incr, protocol.StatusNonNumeric, 0x06, "Non-numeric server-side value for incr or decr"},
		{protocol.FlushAll, protocol.StatusAuthFailure, 0x20, "Auth failure."},
		{protocol.SASLList, protocol.StatusUnknownCommand, 0x81, "Unknown command"},
		{protocol.Set, protocol.StatusOutOfMemory, 0x82, "Out of memory allocating item"},
		{protocol.Decr, protocol.StatusOutOfMemory, 0x82, "Out of memory incrementing value"},
		{protocol.MetaGat, protocol.StatusOutOfMemory, 0x82, "Out of memory"},
		{protocol.Set, protocol.StatusOutcomeUnknown, 0x84, "outcome unknown"},
		{protocol.Set, protocol.StatusNoLeader, 0x86, "no leader"},
		{protocol.MetaGet, protocol.StatusTimeout, 0x86, "read not confirmed in time"},
		{protocol.MetaGet, protocol.StatusRepairing, 0x86, "state differs from the other servers, repairing"},
		{protocol.Set, protocol.StatusNoMajority, 0x86, "states of the servers differ without a majority, writes are refused"},
		{protocol.Set, protocol.StatusRemoved, 0x86, "this server is no member of the cluster any more"},
		{protocol.Set, protocol.StatusFilling, 0x86, "a backup is being restored"},
		{protocol.Set, protocol.StatusDiskStalled, 0x86, "this server's disk does not answer, writes are refused"},
		{protocol.Set, protocol.StatusBusy, 0x86, "too many writes wait, try again later"},
		{protocol.Set, protocol.StatusOutOfBounds, 0x04, "Invalid arguments"}, // cannot be
	} {
		quiet := protocol.Form{Codec: protocol.Binary, Quiet: true, Opcode: 9, Opaque: 0x01020304}
		got := string(protocol.AppendAnswer([]byte("before "), c.command, &quiet, &protocol.Result{Status: c.status, CAS: 5}))
		want := "before \x81\x09\x00\x00\x00\x00\x00" + string(rune(c.code)) + "\x00\x00\x00" + string(rune(len(c.text))) +
			"\x01\x02\x03\x04\x00\x00\x00\x00\x00\x00\x00\x00" + c.text
		if c.code >= 0x80 {
			want = strings.Replace(want, string(rune(c.code)), string([]byte{c.code}), 1)
		}
		if got != want {
			t.Errorf("%v, status %d: %q, want %q", c.command, c.status, got, want)
		}
	}
}

func TestBinaryAllocatesNothing(t *testing.T) {
	input := []byte(packet(opGet, 3, 0, "key") + packet(opSet, 1, 8, "flagexptkvalue") + packet(opUnknown, 0, 0, ""))
	p := protocol.NewParser(itemBytesMax, nil)
	dst := make([]byte, 0, 1024)
	var req protocol.Request
	results := []protocol.Result{
		{Status: protocol.StatusHit, Value: []byte("v"), CAS: 1},
		{Status: protocol.StatusMiss},
		{Status: protocol.StatusStored, CAS: 1},
		{Status: protocol.StatusNumber, Number: 1},
		{Status: protocol.StatusNoLeader},
	}
	allocs := testing.AllocsPerRun(100, func() {
		dst = dst[:0]
		for rest := input; len(rest) > 0; {
			n, v := p.Parse(rest, &req)
			if v != protocol.Ready {
				t.Fatalf("verdict %d", v)
			}
			for i := range results {
				dst = protocol.AppendAnswer(dst, req.Command, &req.Form, &results[i])
			}
			p.Consumed(&req)
			rest = rest[n:]
		}
	})
	if allocs != 0 {
		t.Errorf("%v allocations", allocs)
	}
}
