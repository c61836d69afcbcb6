package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

// unit is a part of an answer that is compared as a whole: a line with the data
// block that it announces, or a packet of the binary protocol.
type unit struct {
	line   string  // of text, without its end
	data   string  // data block of text, with its end
	packet *packet // of binary, instead of these
}

// packet is an answer of the binary protocol (protocol_binary.txt, "Packet
// Structure").
type packet struct {
	magic, opcode, dataType uint8
	status                  uint16
	opaque                  uint32
	cas                     uint64
	extras, key, value      string
}

// The units for what is not an answer.
var (
	closedUnit = unit{line: "<closed>"}
	silentUnit = unit{line: "<no answer in time>"}
)

func (u unit) String() string {
	if p := u.packet; p != nil {
		return fmt.Sprintf("magic %#x opcode %#x status %#x opaque %#x cas %d extras %s key %s value %s", p.magic, p.opcode,
			p.status, p.opaque, p.cas, quote([]byte(p.extras)), quote([]byte(p.key)), quote([]byte(p.value)))
	}
	if u.data != "" {
		return quote([]byte(u.line)) + " " + quote([]byte(u.data))
	}
	return quote([]byte(u.line))
}

// ended returns a unit for the end of the connection, or the error if it is another
// one.
func ended(err error) (unit, error) {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), isReset(err):
		return closedUnit, nil
	case errors.Is(err, os.ErrDeadlineExceeded):
		return silentUnit, nil
	}
	return unit{}, err
}

// isReset reports whether the server closed the connection before it had read
// everything that was sent.
func isReset(err error) bool {
	text := err.Error()
	return strings.Contains(text, "connection reset") || strings.Contains(text, "broken pipe")
}

// readUnit reads the next unit of a connection.
func readUnit(r *bufio.Reader, p protocol) (unit, error) {
	if p == binaryProtocol {
		return readPacket(r)
	}
	line, err := r.ReadString('\n')
	if err != nil {
		return unit{}, err
	}
	u := unit{line: strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")}
	size := announced(u.line)
	if size < 0 {
		return u, nil
	}
	data := make([]byte, size+2)
	if _, err := io.ReadFull(r, data); err != nil {
		return unit{}, err
	}
	u.data = string(data)
	return u, nil
}

// announced returns the length of the data block after a line, or -1.
func announced(line string) int {
	fields := strings.Fields(line)
	var size string
	switch {
	case len(fields) >= 4 && fields[0] == "VALUE":
		size = fields[3]
	case len(fields) >= 2 && fields[0] == "VA":
		size = fields[1]
	default:
		return -1
	}
	n, err := strconv.Atoi(size)
	if err != nil || n < 0 || n > packetBytesMax {
		return -1
	}
	return n
}

const (
	packetHeaderBytes = 24
	packetBytesMax    = 16 << 20 // above all item limits: more is not a packet
)

func readPacket(r *bufio.Reader) (unit, error) {
	var h [packetHeaderBytes]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return unit{}, err
	}
	p := &packet{
		magic: h[0], opcode: h[1], dataType: h[5],
		status: binary.BigEndian.Uint16(h[6:]),
		opaque: binary.BigEndian.Uint32(h[12:]),
		cas:    binary.BigEndian.Uint64(h[16:]),
	}
	keyBytes, extraBytes := int(binary.BigEndian.Uint16(h[2:])), int(h[4])
	size := int(binary.BigEndian.Uint32(h[8:]))
	if size > packetBytesMax || keyBytes+extraBytes > size || p.magic != answerMagic {
		return unit{line: "<no packet: " + quote(h[:]) + ">"}, nil
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(r, body); err != nil {
		return unit{}, err
	}
	p.extras = string(body[:extraBytes])
	p.key = string(body[extraBytes : extraBytes+keyBytes])
	p.value = string(body[extraBytes+keyBytes:])
	return unit{packet: p}, nil
}
