package main

import (
	"encoding/binary"
	"strings"
)

// The magic bytes and operations of protocol_binary.txt.
const (
	requestMagic = 0x80
	answerMagic  = 0x81

	opGet     = 0x00
	opSet     = 0x01
	opDelete  = 0x04
	opIncr    = 0x05
	opQuit    = 0x07
	opFlush   = 0x08
	opNoop    = 0x0a
	opVersion = 0x0b
	opAppend  = 0x0e
	opStat    = 0x10
	opQuitQ   = 0x17
	opTouch   = 0x1c
)

// Groups of operations with the same form of request.
var (
	opsGet    = []uint8{0x00, 0x09, 0x0c, 0x0d} // get getq getk getkq
	opsStore  = []uint8{0x01, 0x01, 0x11, 0x02, 0x12, 0x03, 0x13}
	opsAppend = []uint8{0x0e, 0x19, 0x0f, 0x1a}
	opsDelete = []uint8{0x04, 0x14}
	opsCount  = []uint8{0x05, 0x15, 0x06, 0x16}
	opsTouch  = []uint8{0x1c, 0x1d, 0x1e, 0x23, 0x24} // touch gat gatq gatk gatkq
)

// binaryCommand returns a request of the binary protocol, valid or almost valid.
func (g *generator) binaryCommand() command {
	switch g.rng.IntN(20) {
	case 0, 1, 2, 3, 4:
		return g.withCAS(g.binaryRequest(pick(g, opsStore...), g.uint32(g.flags())+g.exptime32(), g.key(), g.value()))
	case 5, 6:
		return g.withCAS(g.binaryRequest(pick(g, opsAppend...), "", g.key(), g.value()))
	case 7, 8, 9, 10, 11:
		g.reads = true
		return g.binaryRequest(pick(g, opsGet...), "", g.key(), "")
	case 12:
		return g.withCAS(g.binaryRequest(pick(g, opsDelete...), "", g.key(), ""))
	case 13, 14, 15:
		if g.large {
			return g.binaryRequest(opNoop, "", "", "")
		}
		g.count = true
		exptime := g.exptime32()
		if g.oneIn(3) {
			exptime = "\xff\xff\xff\xff" // do not create
		}
		return g.withCAS(g.binaryRequest(pick(g, opsCount...), g.uint64()+g.uint64()+exptime, g.key(), ""))
	case 16, 17:
		g.reads = true
		return g.binaryRequest(pick(g, opsTouch...), g.exptime32(), g.key(), "")
	case 18:
		return g.malformedBinary()
	default:
		return g.binaryAdministration()
	}
}

// binaryRequest returns a request with four parts after the header.
func (g *generator) binaryRequest(op uint8, extras, key, value string) command {
	return command{head: g.header(op, len(extras), len(key), len(extras)+len(key)+len(value)), cas: 0, tail: []byte(extras + key + value)}.without()
}

// header returns a request's header up to its cas unique.
func (g *generator) header(op uint8, extraBytes, keyBytes, bodyBytes int) []byte {
	h := []byte{requestMagic, op}
	h = binary.BigEndian.AppendUint16(h, uint16(keyBytes))
	h = append(h, uint8(extraBytes), 0, 0, 0)
	h = binary.BigEndian.AppendUint32(h, uint32(bodyBytes))
	return binary.BigEndian.AppendUint32(h, g.rng.Uint32()>>1) // the opaque; that of a batch's end is higher
}

// without gives a request of the binary protocol the cas unique 0, "any".
func (c command) without() command {
	c.head = append(append(c.head, make([]byte, 8)...), c.tail...)
	c.cas, c.tail = noCAS, nil
	return c
}

// withCAS gives some of the requests a cas unique of an earlier answer.
func (g *generator) withCAS(c command) command {
	if !g.oneIn(5) {
		return c
	}
	const at = 16 // of the cas unique, in the header
	return command{head: c.head[:at:at], cas: g.rng.IntN(4), tail: c.head[at+8:]}
}

func (g *generator) uint32(decimal string) string {
	var n uint32
	for _, digit := range []byte(decimal) {
		n = n*10 + uint32(digit-'0')
	}
	return string(binary.BigEndian.AppendUint32(nil, n))
}

func (g *generator) uint64() string {
	n := pick(g, 0, 1, 1, 2, 7, 10, 1<<63, 1<<64-1, uint64(g.rng.IntN(1000)))
	return string(binary.BigEndian.AppendUint64(nil, n))
}

func (g *generator) exptime32() string {
	text := g.exptime()
	if strings.HasPrefix(text, "-") {
		text = "2592001"
	}
	return g.uint32(text)
}

// malformedBinary returns a request that is mostly answered with an error. After some
// of them the connection is closed.
func (g *generator) malformedBinary() command {
	g.reads, g.count = true, true // some of them do
	key := g.key()
	switch g.rng.IntN(8) {
	case 0: // no such operation
		return g.binaryRequest(pick[uint8](g, 0x25, 0x30, 0x3d, 0x7f, 0xff, 0x1f), "", "", "")
	case 1:
		return g.binaryRequest(pick[uint8](g, opGet, opSet, opDelete, opTouch, opAppend), "", strings.Repeat("k", keyBytesMax+1), "")
	case 2: // a key where none is allowed
		return g.binaryRequest(pick[uint8](g, opNoop, opVersion, opQuit, opFlush), "", key, "")
	case 3: // no key
		return g.binaryRequest(pick[uint8](g, opGet, opSet, opDelete, opTouch, opAppend, opIncr), "", "", "")
	case 4: // extras of a wrong length
		return g.binaryRequest(pick[uint8](g, opGet, opSet, opDelete, opTouch, opAppend, opIncr), "12345", key, "")
	case 5: // contradictory lengths; memcached waits for the key before it checks them
		c := command{head: g.header(pick[uint8](g, opGet, opSet, opAppend), pick(g, 0, 8), len(key), pick(g, 0, 4, len(key)-1))}
		c.tail = make([]byte, keyBytesMax+8)
		return c.without()
	case 6: // a value where none is allowed
		return g.binaryRequest(pick[uint8](g, opGet, opDelete, opNoop, opVersion), "", key, "value")
	default: // another data type
		c := g.binaryRequest(opGet, "", key, "")
		c.head[5] = 1
		return c
	}
}

// binaryAdministration returns a request that concerns no item.
func (g *generator) binaryAdministration() command {
	if g.alone && g.oneIn(2) {
		return g.binaryRequest(pick[uint8](g, opFlush, 0x18), pick(g, "", "\x00\x00\x00\x00", "\x00\x01\x00\x00"), "", "")
	}
	switch g.rng.IntN(4) {
	case 0:
		return g.binaryRequest(opVersion, "", "", "")
	case 1:
		return g.binaryRequest(opStat, "", pick(g, "", "settings", "reset", "nonsense"), "")
	default:
		return g.binaryRequest(opNoop, "", "", "")
	}
}
