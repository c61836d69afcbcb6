package server

import (
	"strings"
	"testing"
)

// TestStatsDetail: the numbers are those of memcached 1.6.45 for the same commands.
func TestStatsDetail(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.ItemBytesMax = 1000 }))
	c.Send("set z:1 0 0 1", "x", "get z:1", "stats detail dump") // it is off
	c.Expect("STORED", "VALUE z:1 0 1", "x", "END", "END")
	c.Send("stats detail on", "set a:1 0 0 1", "x", "set b:1 0 0 1", "x", "set nod 0 0 1", "x", "get a:1 a:2 b:1 nod", "gat 0 a:1 zz:1",
		"delete a:9", "touch b:1 0", "mg a:1 v", "ms c:1 1", "x", "add b:1 0 0 1", "x", "append q:1 0 0 1", "y", "cas b:1 0 0 1 1", "z",
		"set a:1 0 0 2000", strings.Repeat("x", 2000), "stats detail dump")
	c.Expect("OK", "STORED", "STORED", "STORED", "VALUE a:1 0 1", "x", "VALUE b:1 0 1", "x", "VALUE nod 0 1", "x", "END", "VALUE a:1 0 1", "x", "END",
		"NOT_FOUND", "TOUCHED", "VA 1", "x", "HD", "NOT_STORED", "NOT_STORED", "EXISTS", "SERVER_ERROR object too large for cache")
	dump := []string{
		"PREFIX a get 3 hit 2 set 2 del 1", "PREFIX b get 1 hit 1 set 3 del 0", "PREFIX q get 0 hit 0 set 1 del 0",
		"PREFIX zz get 1 hit 0 set 0 del 0", "END",
	}
	c.Expect(dump...)
	wantStats(t, c, "settings", map[string]string{"detail_enabled": "yes", "stat_key_prefix": ":"})
	c.Send("stats detail off", "get b:1", "stats detail dump")
	c.Expect("OK", "VALUE b:1 0 1", "x", "END")
	c.Expect(dump...)
	c.Send("stats reset", "stats detail dump")
	c.Expect("RESET", "END")
}

// TestGatInPartsIsCountedOnce by prefix, whichever keys are passed on together.
func TestGatInPartsIsCountedOnce(t *testing.T) {
	b := newMemory()
	b.gatKeysMax = 2
	b.items["a.1"] = storedItem{value: []byte("x")}
	c := dial(t, start(t, b, func(o *Options) { o.KeyDelimiter = '.' }))
	c.Send("gat 0 a.1 b.1 a.2 c.1 a:1", "stats detail dump")
	c.Expect("VALUE a.1 0 1", "x", "END", "PREFIX a get 2 hit 1 set 0 del 0", "PREFIX b get 1 hit 0 set 0 del 0",
		"PREFIX c get 1 hit 0 set 0 del 0", "END")
}
