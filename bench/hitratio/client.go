package hitratio

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
	"time"
)

const (
	// answerTimeout bounds a write of one batch, and the wait for its replies.
	answerTimeout = 30 * time.Second

	// bufferBytes is the buffer for replies. It holds a line and a value.
	bufferBytes = 64 << 10
)

// client speaks memcached's text protocol on one connection (protocol.txt,
// "Storage commands" and "Retrieval command"). A batch is one write. Its replies are
// read with the matching method, in the order of the writes.
type client struct {
	items    Items
	conn     net.Conn
	replies  *bufio.Reader
	out      []byte // reused
	expected []byte // reused

	// serverErrors counts replies that begin with SERVER_ERROR; firstError is the
	// first of them.
	serverErrors int
	firstError   string
}

func dialClient(ctx context.Context, addr string, items Items) (*client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	return &client{items: items, conn: conn, replies: bufio.NewReaderSize(conn, bufferBytes)}, nil
}

// sendGets writes a get for each key.
func (c *client) sendGets(ids []uint32) error {
	c.out = c.out[:0]
	for _, id := range ids {
		c.out = append(c.items.appendKey(append(c.out, "get "...), id), "\r\n"...)
	}
	return c.send()
}

// sendSets writes a set for each key. It requests replies: only after them do other
// nodes certainly return the item.
func (c *client) sendSets(ids []uint32) error {
	c.out = c.out[:0]
	for _, id := range ids {
		value := c.items.value(id)
		c.out = append(c.items.appendKey(append(c.out, "set "...), id), " 0 0 "...)
		c.out = append(strconv.AppendInt(c.out, int64(len(value)), 10), "\r\n"...)
		c.out = append(append(c.out, value...), "\r\n"...)
	}
	return c.send()
}

func (c *client) send() error {
	if len(c.out) == 0 {
		return nil
	}
	err := c.conn.SetDeadline(time.Now().Add(answerTimeout))
	if err == nil {
		_, err = c.conn.Write(c.out)
	}
	if err != nil {
		return fmt.Errorf("write requests: %w", err)
	}
	return nil
}

// readGets reads the replies to sendGets and appends the keys that missed to
// missed. A SERVER_ERROR is a miss, because the client got no value.
func (c *client) readGets(ids, missed []uint32) ([]uint32, error) {
	for _, id := range ids {
		hit, err := c.readGet(id)
		if err != nil {
			return missed, fmt.Errorf("read reply to a get: %w", err)
		}
		if !hit {
			missed = append(missed, id)
		}
	}
	return missed, nil
}

// readGet reads one reply and checks that a value is the one that was set.
func (c *client) readGet(id uint32) (hit bool, err error) {
	line, err := c.readLine()
	if err != nil || string(line) == "END" || c.isServerError(line) {
		return false, err
	}
	value := c.items.value(id)
	c.expected = c.items.appendKey(append(c.expected[:0], "VALUE "...), id)
	c.expected = strconv.AppendInt(append(c.expected, " 0 "...), int64(len(value)), 10)
	if !bytes.Equal(line, c.expected) {
		return false, fmt.Errorf("got %q, want %q", line, c.expected)
	}
	got, err := c.replies.Peek(len(value))
	if err == nil && !bytes.Equal(got, value) {
		return false, fmt.Errorf("got the value %q, want %q", got, value)
	}
	if err == nil {
		_, err = c.replies.Discard(len(value))
	}
	for _, want := range []string{"", "END"} {
		if err == nil {
			line, err = c.readLine()
		}
		if err == nil && string(line) != want {
			err = fmt.Errorf("got %q, want %q", line, want)
		}
	}
	return err == nil, err
}

// readSets reads the replies to n sets.
func (c *client) readSets(n int) error {
	for range n {
		line, err := c.readLine()
		if err == nil && string(line) != "STORED" && !c.isServerError(line) {
			err = fmt.Errorf("got %q, want STORED", line)
		}
		if err != nil {
			return fmt.Errorf("read reply to a set: %w", err)
		}
	}
	return nil
}

// readLine returns a line without its end, valid until the next read.
func (c *client) readLine() ([]byte, error) {
	line, err := c.replies.ReadSlice('\n')
	return bytes.TrimRight(line, "\r\n"), err
}

// isServerError reports whether a reply is a SERVER_ERROR and counts it.
func (c *client) isServerError(line []byte) bool {
	if !bytes.HasPrefix(line, []byte("SERVER_ERROR")) {
		return false
	}
	if c.serverErrors++; c.serverErrors == 1 {
		c.firstError = string(line)
	}
	return true
}
