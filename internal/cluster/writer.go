package cluster

import (
	"bufio"
	"fmt"
	"net"
	"time"
)

// writerTimeout is above a server's request timeout, so that a writer sees the
// server's answer.
const writerTimeout = 30 * time.Second

// Writer is a client that has one connection, to one of several servers. When a
// request fails, by an answer or because the connection ends, it tries that request
// once more on the next server, and stays there. It belongs to one goroutine.
type Writer struct {
	Retried int // requests that took a second attempt

	addrs   []string
	at      int // of addrs
	conn    net.Conn
	answers *bufio.Reader
}

// NewWriter returns a writer that begins at addrs[at].
func NewWriter(addrs []string, at int) *Writer { return &Writer{addrs: addrs, at: at} }

// Set sets a key. An error means that the second attempt has failed too.
func (w *Writer) Set(key, value string) error {
	first := w.attempt(key, value)
	if first == nil {
		return nil
	}
	w.Retried++
	w.Close()
	w.at = (w.at + 1) % len(w.addrs)
	if err := w.attempt(key, value); err != nil {
		w.Close()
		return fmt.Errorf("set %q at %s: %w (before: %w)", key, w.addrs[w.at], err, first)
	}
	return nil
}

func (w *Writer) attempt(key, value string) error {
	if w.conn == nil {
		conn, err := net.DialTimeout("tcp", w.addrs[w.at], writerTimeout)
		if err != nil {
			return err
		}
		w.conn, w.answers = conn, bufio.NewReader(conn)
	}
	if err := w.conn.SetDeadline(time.Now().Add(writerTimeout)); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w.conn, "set %s 0 0 %d\r\n%s\r\n", key, len(value), value); err != nil {
		return err
	}
	answer, err := w.answers.ReadString('\n')
	if err == nil && answer != "STORED\r\n" {
		err = fmt.Errorf("answer %q", answer)
	}
	return err
}

// Close closes the connection. The next Set opens another one.
func (w *Writer) Close() {
	if w.conn != nil {
		_ = w.conn.Close() // all answers were read, or do not matter
		w.conn = nil
	}
}
