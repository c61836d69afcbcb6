package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// The shape of a stream.
const (
	batchesMax      = 8
	batchCommandMax = 40
	keyBytesMax     = 250 // protocol.txt, "Keys"
)

// generator generates the requests of one stream. They depend only on the seed, the
// stream's number and the options.
type generator struct {
	rng    *rand.Rand
	keys   []string // used by no other stream
	meta   bool     // meta commands too
	binary bool     // the binary protocol too
	old    bool     // memcached has other error messages: none are provoked
	alone  bool     // no other stream runs: also requests that affect all keys

	large bool // values near the item limit, and no ma

	used  uint // keys of the latest request, a bit for each of keys
	reads bool // the latest request may read a value
	count bool // the latest request counts
	apart bool // the latest request must begin a batch: memcached drops the answers before its own
}

// newGenerator returns the generator of a stream. Its keys begin with the stream's
// number, so that no two streams share keys.
func newGenerator(seed, stream uint64, o options) *generator {
	g := &generator{rng: rand.New(rand.NewPCG(seed, stream)), meta: o.meta, binary: o.binary, old: o.old}
	g.alone, g.large = g.oneIn(40), g.oneIn(20)
	prefix := fmt.Sprintf("%x:", stream)
	long := prefix + strings.Repeat("l", keyBytesMax-len(prefix))
	g.keys = []string{prefix + "a", prefix + "b", prefix + "c", prefix + "\x01\xc3\xa9\xff", long}
	return g
}

func (g *generator) oneIn(n int) bool { return g.rng.IntN(n) == 0 }

// pick returns one of some values.
func pick[T any](g *generator, values ...T) T { return values[g.rng.IntN(len(values))] }

// stream returns the batches of a stream.
func (g *generator) stream() []batch {
	var batches []batch
	protocols := []protocol{textProtocol}
	if g.binary {
		protocols = pick(g, []protocol{textProtocol}, []protocol{binaryProtocol}, []protocol{textProtocol, binaryProtocol})
	}
	for range 1 + g.rng.IntN(batchesMax) {
		batches = append(batches, g.batches(pick(g, protocols...))...)
	}
	if g.oneIn(10) {
		p := batches[len(batches)-1].protocol
		batches = append(batches, batch{protocol: p, commands: []command{g.closing(p)}})
	}
	return batches
}

// batches returns one batch, or more if a request increments a value that an earlier
// one has read. In that case memcached increments in place only if the answer with
// the old value has been sent, and in place it pads with spaces.
func (g *generator) batches(p protocol) []batch {
	batches := []batch{{protocol: p}}
	var read uint
	for range 1 + g.rng.IntN(batchCommandMax) {
		c := g.command(p)
		if g.apart || g.count && g.used&read != 0 {
			batches = append(batches, batch{protocol: p})
			read = 0
		}
		if g.reads {
			read |= g.used
		}
		last := &batches[len(batches)-1]
		last.commands = append(last.commands, c)
	}
	return batches
}

func (g *generator) command(p protocol) command {
	g.used, g.reads, g.count, g.apart = 0, false, false, false
	switch {
	case p == binaryProtocol:
		return g.binaryCommand()
	case g.meta && g.oneIn(2):
		return g.metaCommand()
	default:
		return g.textCommand()
	}
}

// closing returns a request after which the connection is closed.
func (g *generator) closing(p protocol) command {
	if p == binaryProtocol {
		return pick(g, g.binaryRequest(opQuit, "", "", ""), g.binaryRequest(opQuitQ, "", "", ""), literal("\x81%s", strings.Repeat("x", 40)))
	}
	if g.old {
		return literal("quit\r\n")
	}
	return pick(g, literal("quit\r\n"), literal("quit now\r\n"), literal("GET / HTTP/1.1\r\n"))
}

// key returns one of the stream's keys. There are few, so that requests interact.
func (g *generator) key() string {
	i := min(g.rng.IntN(8), g.rng.IntN(8)) * len(g.keys) / 8
	g.used |= 1 << i
	return g.keys[i]
}

// value returns a value to store: often a number, rarely something large.
func (g *generator) value() string {
	switch g.rng.IntN(40) {
	case 0:
		return strings.Repeat("v", pick(g, 100, 1000, 3000, 10_000))
	case 1:
		if g.large {
			return strings.Repeat("V", pick(g, 500_000, 1<<20-2048, 1<<20+1024))
		}
		return ""
	case 2:
		return pick(g, "-1", " 1", "1 ", "0x1", "1.5", "18446744073709551616", "000000000000000000005", "\r\nEND\r\n", "\x00\x80\xff")
	case 3, 4, 5:
		return pick(g, "18446744073709551615", "18446744073709551614", "9223372036854775807", "10", "100", "1000000")
	case 6, 7, 8, 9, 10, 11, 12, 13, 14:
		return fmt.Sprint(g.rng.IntN(12))
	default:
		return pick(g, "a", "bc", "some value", "0123456789012345678901234567890123456789")
	}
}

// exptime returns an exptime: never, immediate, or far in the future.
func (g *generator) exptime() string {
	switch g.rng.IntN(10) {
	case 0:
		return pick(g, "-1", "-100", "2592001", "1000000000")
	case 1, 2, 3, 4:
		return pick(g, "1000", "100000", "2592000", "2000000000")
	default:
		return "0"
	}
}

// flags returns client flags.
func (g *generator) flags() string {
	return pick(g, "0", "0", "0", "1", "32", "65536", "4294967295")
}
