package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"strings"
	"time"
)

const (
	// answerTimeout is how long a server may take for a batch. It is longer than the
	// server's request timeout, whose error would be a difference.
	answerTimeout = 5 * time.Second

	// endOpaqueMin is the lowest opaque of a batch's end in the binary protocol;
	// those of generated requests are below.
	endOpaqueMin = 1 << 31

	// directBytesMax is how much is sent before answers are read: certainly less than
	// the system buffers without a reader.
	directBytesMax = 32 << 10
)

// connection is one connection to one server.
type connection struct {
	conn     net.Conn
	reader   *bufio.Reader
	protocol protocol
	endKey   string // key of the item that marks the end of a batch of text
	batches  uint32 // ended so far
	out      []byte
}

func dial(ctx context.Context, addr string, p protocol, endKey string) (*connection, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &connection{conn: conn, reader: bufio.NewReader(conn), protocol: p, endKey: endKey}, nil
}

func (c *connection) close() { _ = c.conn.Close() } // everything that matters was read

// exchange sends commands in one piece and returns their answers. seen are the cas
// uniques that the server is known to have used.
func (c *connection) exchange(commands []command, seen []uint64) ([]unit, error) {
	c.out = c.out[:0]
	for i := range commands {
		c.out = commands[i].appendTo(c.out, c.protocol, seen)
	}
	c.batches++
	if c.protocol == binaryProtocol {
		c.out = append(c.out, c.endPacket()...)
	} else {
		c.out = append(c.out, c.endLines()...)
	}
	if err := c.conn.SetDeadline(time.Now().Add(answerTimeout)); err != nil {
		return nil, err
	}
	sent := make(chan error, 1)
	if len(c.out) > directBytesMax {
		go func() { sent <- c.send() }()
	} else {
		sent <- c.send()
	}
	units, err := c.receive()
	if err != nil {
		return nil, err
	}
	if err := <-sent; err != nil {
		if _, err := ended(err); err != nil {
			return nil, err
		}
	}
	return units, nil
}

func (c *connection) send() error {
	_, err := c.conn.Write(c.out)
	return err
}

// receive reads units up to those that answer the batch's end, or up to the end
// of the connection.
func (c *connection) receive() ([]unit, error) {
	var units []unit
	for {
		u, err := readUnit(c.reader, c.protocol)
		if err != nil {
			u, err = ended(err)
			return append(units, u), err
		}
		if units = append(units, u); c.isEnd(units) {
			return units[:len(units)-c.endUnits()], nil
		}
		if strings.HasPrefix(u.line, "<") { // not a packet: nothing after it is one
			return units, nil
		}
	}
}

// endLines returns requests that store an item and read it. The answer contains a
// number that no other answer of the connection contains.
func (c *connection) endLines() string {
	return fmt.Sprintf("set %s 0 0 8\r\n%08d\r\nget %s\r\n", c.endKey, c.batches, c.endKey)
}

func (c *connection) endPacket() []byte {
	h := make([]byte, packetHeaderBytes)
	h[0], h[1] = requestMagic, opNoop
	binary.BigEndian.PutUint32(h[12:], endOpaqueMin+c.batches)
	return h
}

// endUnits is the number of units that answer the end: STORED, VALUE and END, or a
// noop.
func (c *connection) endUnits() int {
	if c.protocol == binaryProtocol {
		return 1
	}
	return 3
}

func (c *connection) isEnd(units []unit) bool {
	if c.protocol == binaryProtocol {
		p := units[len(units)-1].packet
		return p != nil && p.opcode == opNoop && p.opaque == endOpaqueMin+c.batches
	}
	if len(units) < 3 || units[len(units)-1].line != "END" {
		return false
	}
	value := units[len(units)-2]
	return value.line == "VALUE "+c.endKey+" 0 8" && value.data == fmt.Sprintf("%08d\r\n", c.batches)
}
