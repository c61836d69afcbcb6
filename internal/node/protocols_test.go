package node

import (
	"strings"
	"testing"
)

// TestProtocolsShareItems: what clients write in one language others read in
// theirs. Each step is a connection of its own.
func TestProtocolsShareItems(t *testing.T) {
	n := openNode(t, loneConfig(t))
	for _, steps := range []string{
		"P: set flags=7 exptime=0 key=a value=1\nR: set cas={c}",
		"C: get a\nS: VALUE a 7 1\nS: 1\nS: END",
		"C: mg a f v\nS: VA 1 f7\nS: 1",
		"C: incr a 41\nS: 42",
		"P: get key=a\nR: get cas={c} flags=7 value=42",
		"P: incr delta=8 initial=0 exptime=0 key=a\nR: incr cas={c} number=50",
		"C: mg a v\nS: VA 2\nS: 50",
		"C: ms b 1 T100 F3\nC: x\nS: HD",
		"P: append key=b value=y\nR: append cas={c}",
		"C: mg b t f v\nS: VA 2 t{t} f3\nS: xy",
		"P: delete key=b\nR: delete",
		"C: get b\nS: END",
	} {
		play(t, n, steps)
	}
}

// TestCreatedCounterIsNoHit: memcached counts neither a hit nor a miss then.
func TestCreatedCounterIsNoHit(t *testing.T) {
	n := openNode(t, loneConfig(t))
	for _, steps := range []string{
		"P: incr delta=1 initial=5 exptime=0 key=a\nR: incr cas={c} number=5",
		"C: ma b N0\nS: HD\nC: ma c N0 MD t c v k\nS: VA 1 t-1 c{c} kc\nS: 0\nC: ma a\nS: HD\nC: ma none\nS: NF",
	} {
		play(t, n, steps)
	}
	c := dial(t, n)
	c.Send("stats", "quit")
	stats := c.ReadAll()
	const want = "STAT incr_misses 1\r\nSTAT incr_hits 1\r\nSTAT decr_misses 0\r\nSTAT decr_hits 0\r\n"
	if !strings.Contains(stats, want) {
		t.Errorf("stats are %q, want %q in them", stats, want)
	}
}

// TestBinaryWinsNothing: a client of the binary protocol cannot know that an item
// is stale, so it is not the one that is to fetch it again. In memcached it is not.
func TestBinaryWinsNothing(t *testing.T) {
	n := openNode(t, loneConfig(t))
	for _, steps := range []string{
		"C: ms k 1 F5\nC: x\nS: HD\nC: md k I\nS: HD",
		"P: get key=k\nP: gat exptime=100 key=k\nR: get cas={c} flags=5 value=x\nR: gat cas={c} flags=5 value=x",
		"C: mg k v\nS: VA 1 X W\nS: x",
		"P: get key=k\nR: get cas={c} flags=5 value=x",
		"C: mg k v\nS: VA 1 Z X\nS: x",
	} {
		play(t, n, steps)
	}
}
