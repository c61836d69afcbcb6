package transcript

import (
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

// opcodeNames are the names of protocol_binary.txt, "Command Opcodes".
var opcodeNames = map[byte]string{
	0x00: "get", 0x01: "set", 0x02: "add", 0x03: "replace", 0x04: "delete", 0x05: "incr", 0x06: "decr", 0x07: "quit",
	0x08: "flush", 0x09: "getq", 0x0a: "noop", 0x0b: "version", 0x0c: "getk", 0x0d: "getkq", 0x0e: "append", 0x0f: "prepend",
	0x10: "stat", 0x11: "setq", 0x12: "addq", 0x13: "replaceq", 0x14: "deleteq", 0x15: "incrq", 0x16: "decrq", 0x17: "quitq",
	0x18: "flushq", 0x19: "appendq", 0x1a: "prependq", 0x1b: "verbosity", 0x1c: "touch", 0x1d: "gat", 0x1e: "gatq",
	0x20: "sasl_list", 0x21: "sasl_auth", 0x22: "sasl_step", 0x23: "gatk", 0x24: "gatkq",
}

// opcodeOf returns the opcode with a name, which may be its number.
func opcodeOf(name string) (byte, error) {
	for code, n := range opcodeNames {
		if n == name {
			return code, nil
		}
	}
	code, err := strconv.ParseUint(name, 0, 8)
	return byte(code), err
}

func nameOf(opcode byte) string {
	if name, found := opcodeNames[opcode]; found {
		return name
	}
	return fmt.Sprintf("%#02x", opcode)
}

const (
	headerBytes = 24

	// answerBytesMax is the longest body that an answer may have.
	answerBytesMax = 2 << 20
)

// extrasBytes are the fields in the extras of a request, with their lengths. They are sent
// in the order in which they are written.
var extrasBytes = map[string]int{"flags": 4, "exptime": 4, "level": 4, "delta": 8, "initial": 8}

// field is NAME=VALUE. The value may be a Go string in quotes.
type field struct{ name, value string }

// packet is a request as written in a file: its name and fields. Other fields are zero,
// and lengths are correct.
type packet struct {
	opcode byte
	fields []field
}

var fieldPattern = regexp.MustCompile(`^ (\w+)=("(?:[^"\\]|\\.)*"|[^ "]*)`)

// parsePacket reads a line such as "set flags=7 exptime=0 key=k value=v".
func parsePacket(line string) (*packet, error) {
	name, _, _ := strings.Cut(line, " ")
	opcode, err := opcodeOf(name)
	if err != nil {
		return nil, err
	}
	p := &packet{opcode: opcode}
	for rest := line[len(name):]; rest != ""; {
		m := fieldPattern.FindStringSubmatch(rest)
		if m == nil {
			return nil, fmt.Errorf("no field in %q", rest)
		}
		rest = rest[len(m[0]):]
		f := field{name: m[1]}
		f.value, err = unescape(strings.Trim(m[2], `"`))
		if err != nil {
			return nil, err
		}
		p.fields = append(p.fields, f)
	}
	return p, nil
}

// encode returns the packet's bytes. fill replaces variables.
func (p *packet) encode(fill func(string) string) (string, error) {
	var (
		header             [headerBytes]byte
		extras, key, value []byte
	)
	at := map[string][2]int{ // of the fields of the header: offset, length
		"magic": {0, 1}, "keylength": {2, 2}, "extraslength": {4, 1}, "datatype": {5, 1}, "reserved": {6, 2},
		"bodylength": {8, 4}, "opaque": {12, 4}, "cas": {16, 8},
	}
	header[0], header[1] = 0x80, p.opcode
	given := map[string]bool{}
	put := func(name string, n uint64) {
		place := at[name]
		var b [8]byte
		binary.BigEndian.PutUint64(b[:], n)
		copy(header[place[0]:], b[8-place[1]:])
		given[name] = true
	}
	for _, f := range p.fields {
		text := fill(f.value)
		switch f.name {
		case "key":
			key = []byte(text)
			continue
		case "value":
			value = []byte(text)
			continue
		case "extras":
			extras = append(extras, text...)
			continue
		}
		n, err := strconv.ParseUint(text, 0, 64)
		if err != nil {
			return "", fmt.Errorf("field %s: %w", f.name, err)
		}
		if length, found := extrasBytes[f.name]; found {
			b := binary.BigEndian.AppendUint64(nil, n)
			extras = append(extras, b[8-length:]...)
			continue
		}
		if _, found := at[f.name]; !found {
			return "", fmt.Errorf("no field is named %q", f.name)
		}
		put(f.name, n)
	}
	for name, n := range map[string]int{"keylength": len(key), "extraslength": len(extras), "bodylength": len(extras) + len(key) + len(value)} {
		if !given[name] {
			put(name, uint64(n))
		}
	}
	return string(header[:]) + string(extras) + string(key) + string(value), nil
}

// readAnswer reads a packet of a server and returns it in the form of a file, without
// fields that are zero or empty.
func readAnswer(r io.Reader) (string, error) {
	var header [headerBytes]byte
	if n, err := io.ReadFull(r, header[:]); err != nil {
		return "", fmt.Errorf("the server says %q, should say a packet: %w", header[:n], err)
	}
	keyBytes, extrasBytes := int(binary.BigEndian.Uint16(header[2:])), int(header[4])
	size := int(binary.BigEndian.Uint32(header[8:]))
	if header[0] != 0x81 || size > answerBytesMax || size < keyBytes+extrasBytes {
		return "", fmt.Errorf("the server says %q, which is no header", header)
	}
	body := make([]byte, size)
	if n, err := io.ReadFull(r, body); err != nil {
		return "", fmt.Errorf("the server says %q, should say %d bytes: %w", body[:n], size, err)
	}
	extras, key, value := body[:extrasBytes], body[extrasBytes:extrasBytes+keyBytes], body[extrasBytes+keyBytes:]
	status := binary.BigEndian.Uint16(header[6:])
	var s strings.Builder
	s.WriteString(nameOf(header[1]))
	number := func(name string, n uint64) {
		if n != 0 {
			fmt.Fprintf(&s, " %s=%d", name, n)
		}
	}
	number("datatype", uint64(header[5]))
	if status != 0 {
		fmt.Fprintf(&s, " status=%#02x", status)
	}
	number("opaque", uint64(binary.BigEndian.Uint32(header[12:])))
	number("cas", binary.BigEndian.Uint64(header[16:]))
	text := func(name string, b []byte) {
		if len(b) > 0 {
			fmt.Fprintf(&s, " %s=%s", name, quote(b))
		}
	}
	if len(extras) == 4 {
		fmt.Fprintf(&s, " flags=%d", binary.BigEndian.Uint32(extras))
	} else {
		text("extras", extras)
	}
	text("key", key)
	if name := nameOf(header[1]); len(value) == 8 && status == 0 && (strings.HasPrefix(name, "incr") || strings.HasPrefix(name, "decr")) {
		fmt.Fprintf(&s, " number=%d", binary.BigEndian.Uint64(value))
	} else {
		text("value", value)
	}
	return s.String(), nil
}

// quote quotes a value if that is needed.
func quote(b []byte) string {
	quoted := strconv.Quote(string(b))
	if strings.ContainsAny(quoted, ` \`) {
		return quoted
	}
	return string(b)
}
