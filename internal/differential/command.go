package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strconv"
)

// protocol is the protocol of a connection: the first byte selects it.
type protocol uint8

const (
	textProtocol protocol = iota
	binaryProtocol
	protocols
)

// noCAS marks a command without a cas unique taken from an answer.
const noCAS = -1

// command is one request. The two servers number changes differently, so a request
// with a cas unique of an earlier answer has a gap, which is filled for each server
// separately.
type command struct {
	head []byte
	cas  int // how many different cas uniques ago the one between head and tail was seen; or noCAS
	tail []byte
}

// batch is what is sent in one piece on a connection to each server.
type batch struct {
	protocol protocol
	commands []command
}

func literal(format string, args ...any) command {
	return command{head: fmt.Appendf(nil, format, args...), cas: noCAS}
}

// appendTo appends the command's bytes, with a cas unique that the server is
// known to have used.
func (c *command) appendTo(dst []byte, p protocol, seen []uint64) []byte {
	dst = append(dst, c.head...)
	if c.cas != noCAS {
		cas := uint64(1)
		if n := len(seen); n > 0 {
			cas = seen[n-1-c.cas%n]
		}
		if p == binaryProtocol {
			dst = binary.BigEndian.AppendUint64(dst, cas)
		} else {
			dst = strconv.AppendUint(dst, cas, 10)
		}
	}
	return append(dst, c.tail...)
}

// String returns the command as a transcript shows it.
func (c *command) String() string {
	if c.cas == noCAS {
		return quote(append(c.head[:len(c.head):len(c.head)], c.tail...))
	}
	return fmt.Sprintf("%s <cas unique %d back> %s", quote(c.head), c.cas, quote(c.tail))
}

// repeatBytesMin is the shortest run of one byte that quote shortens.
const repeatBytesMin = 40

// quote quotes bytes as Go does, but writes long runs of one byte as <n*x>.
func quote(b []byte) string {
	var out bytes.Buffer
	out.WriteByte('"')
	for len(b) > 0 {
		run := len(b) - len(bytes.TrimLeft(b, string(b[:1])))
		if b[0] >= 0x80 {
			run = 1
		}
		if run >= repeatBytesMin {
			fmt.Fprintf(&out, "<%d*%c>", run, b[0])
			b = b[run:]
			continue
		}
		text := strconv.QuoteToASCII(string(b[:1]))
		if b[0] >= 0x80 {
			text = fmt.Sprintf(`"\x%02x"`, b[0])
		}
		out.WriteString(text[1 : len(text)-1])
		b = b[1:]
	}
	out.WriteByte('"')
	return out.String()
}
