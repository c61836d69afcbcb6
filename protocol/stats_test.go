package protocol_test

import (
	"strings"
	"testing"

	"raftcached/protocol"
)

// TestAppendStats shows statistics as lines and as packets.
func TestAppendStats(t *testing.T) {
	const head = "\x81\x10\x00"
	zeros := strings.Repeat("\x00", 12)
	end := head + "\x00\x00\x00\x00\x00\x00\x00\x00\x00" + zeros
	for _, test := range []struct {
		add           func(l *protocol.StatList)
		text, packets string
	}{
		{func(*protocol.StatList) {}, "END\r\n", end},
		{
			func(l *protocol.StatList) { l.AddInt("pid", 12); l.Add("a", "b c") },
			"STAT pid 12\r\nSTAT a b c\r\nEND\r\n",
			head + "\x03\x00\x00\x00\x00\x00\x00\x00\x05" + zeros + "pid12" + head + "\x01\x00\x00\x00\x00\x00\x00\x00\x04" + zeros + "ab c" + end,
		},
		{
			func(l *protocol.StatList) { l.Add("empty", "") },
			"STAT empty \r\nEND\r\n",
			head + "\x05\x00\x00\x00\x00\x00\x00\x00\x05" + zeros + "empty" + end,
		},
	} {
		var list protocol.StatList
		test.add(&list)
		if got := string(protocol.AppendStats([]byte("before "), &protocol.Form{}, list)); got != "before "+test.text {
			t.Errorf("%v is %q in text, want %q", list, got, test.text)
		}
		form := protocol.Form{Codec: protocol.Binary, Opcode: opStat}
		if got := string(protocol.AppendStats(nil, &form, list)); got != test.packets {
			t.Errorf("%v is\n%q in packets, want\n%q", list, got, test.packets)
		}
	}
}
