package raftcached

import "testing"

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

// TestBinaryWinsNothing: a client of the binary protocol cannot know that an item
// is stale, so it is not the one that is to fetch it anew. In memcached it is not.
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
