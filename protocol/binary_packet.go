package protocol

import "encoding/binary"

const (
	// binaryMagic and binaryReplyMagic are the first bytes of the packets of a
	// client and of a server (protocol_binary.txt, "Magic Byte").
	binaryMagic      = 0x80
	binaryReplyMagic = 0x81

	// headerBytes is the length of the header of every packet.
	headerBytes = 24

	// bodyBytesMax is the length of the longest body that memcached accepts. With a
	// longer one the connection is closed.
	bodyBytesMax = 1 << 30

	// saslBytesMax is the length of the longest authentication message. A longer one
	// is answered with StatusOutOfMemory. A user and a password are far shorter.
	saslBytesMax = 4096

	// exptimeMax is the latest expiry, in Unix time. A later one in a packet is
	// reduced to it: exptimes are signed here and unsigned in packets.
	exptimeMax = 1<<31 - 1

	// exptimeNoCreate in incr and decr means that the item is not created
	// (protocol_binary.txt, "Increment, Decrement").
	exptimeNoCreate = 1<<32 - 1
)

// The lengths of a request's extras.
const (
	noExtras      = 0
	exptimeExtras = 4  // exptime, or the level of verbosity
	storeExtras   = 8  // flags, exptime
	deltaExtras   = 20 // delta, initial value, exptime
)

// presence says whether a packet has a key or a value.
type presence uint8

const (
	none    presence = iota
	needed           // of a value: it may be empty
	ignored          // it may be present
)

// opcode describes a command of the binary protocol.
type opcode struct {
	command Command
	extras  int
	key     presence
	value   presence
	quiet   bool // the command's name ends in Q
	keyBack bool // the command's name has a K: the answer repeats the key
}

// opcodes are the commands by their number (protocol_binary.txt, "Command
// Opcodes", and memcached's protocol_binary.h). The zero value is an unknown command.
var opcodes = [1 << 8]opcode{
	0x00: {command: MetaGet, key: needed},
	0x01: {command: Set, extras: storeExtras, key: needed, value: needed},
	0x02: {command: Add, extras: storeExtras, key: needed, value: needed},
	0x03: {command: Replace, extras: storeExtras, key: needed, value: needed},
	0x04: {command: Delete, key: needed},
	0x05: {command: Incr, extras: deltaExtras, key: needed},
	0x06: {command: Decr, extras: deltaExtras, key: needed},
	0x07: {command: Quit},
	0x08: {command: FlushAll, extras: exptimeExtras},
	0x09: {command: MetaGet, key: needed, quiet: true},
	0x0a: {command: Noop},
	0x0b: {command: Version},
	0x0c: {command: MetaGet, key: needed, keyBack: true},
	0x0d: {command: MetaGet, key: needed, quiet: true, keyBack: true},
	0x0e: {command: Append, key: needed, value: needed},
	0x0f: {command: Prepend, key: needed, value: needed},
	0x10: {command: Stats, key: ignored, value: ignored},
	0x11: {command: Set, extras: storeExtras, key: needed, value: needed, quiet: true},
	0x12: {command: Add, extras: storeExtras, key: needed, value: needed, quiet: true},
	0x13: {command: Replace, extras: storeExtras, key: needed, value: needed, quiet: true},
	0x14: {command: Delete, key: needed, quiet: true},
	0x15: {command: Incr, extras: deltaExtras, key: needed, quiet: true},
	0x16: {command: Decr, extras: deltaExtras, key: needed, quiet: true},
	0x17: {command: Quit, quiet: true},
	0x18: {command: FlushAll, extras: exptimeExtras, quiet: true},
	0x19: {command: Append, key: needed, value: needed, quiet: true},
	0x1a: {command: Prepend, key: needed, value: needed, quiet: true},
	0x1b: {command: Verbosity, extras: exptimeExtras},
	0x1c: {command: Touch, extras: exptimeExtras, key: needed, value: ignored},
	0x1d: {command: MetaGat, extras: exptimeExtras, key: needed, value: ignored},
	0x1e: {command: MetaGat, extras: exptimeExtras, key: needed, value: ignored, quiet: true},
	0x20: {command: SASLList},
	0x21: {command: SASLAuth, key: needed, value: needed},
	0x22: {command: SASLAuth, key: needed, value: needed},
	0x23: {command: MetaGat, extras: exptimeExtras, key: needed, value: ignored, keyBack: true},
	0x24: {command: MetaGat, extras: exptimeExtras, key: needed, value: ignored, quiet: true, keyBack: true},
}

// takes reports whether a packet of the command may have these lengths.
func (o *opcode) takes(h *header) bool {
	if h.extras != o.extras && (o.command != FlushAll || h.extras != noExtras) {
		return false
	}
	if o.key == none && h.key > 0 || o.key == needed && h.key == 0 {
		return false
	}
	return o.value != none || h.value() == 0
}

// header is the header of a request. As in memcached, the data type and the reserved
// field are ignored.
type header struct {
	opcode uint8
	key    int // length
	extras int // length
	body   int // length of extras, key and value
	opaque uint32
	cas    uint64
}

// value returns the length of the value.
func (h *header) value() int { return h.body - h.extras - h.key }

// readHeader reads the first headerBytes of b, as drawn in doc.go.
func readHeader(b []byte) header {
	return header{
		opcode: b[1],
		key:    int(binary.BigEndian.Uint16(b[2:])),
		extras: int(b[4]),
		body:   int(binary.BigEndian.Uint32(b[8:])),
		opaque: binary.BigEndian.Uint32(b[12:]),
		cas:    binary.BigEndian.Uint64(b[16:]),
	}
}

// appendHeader appends the header of a request, or of an answer with its status
// in the place that requests reserve.
func appendHeader(dst []byte, magic uint8, status uint16, h *header) []byte {
	dst = append(dst, magic, h.opcode)
	dst = binary.BigEndian.AppendUint16(dst, uint16(h.key))
	dst = append(dst, uint8(h.extras), 0)
	dst = binary.BigEndian.AppendUint16(dst, status)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.body))
	dst = binary.BigEndian.AppendUint32(dst, h.opaque)
	return binary.BigEndian.AppendUint64(dst, h.cas)
}
