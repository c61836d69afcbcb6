package peer

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"raftcached/replication/frame"
)

const (
	// shipChunkBytes is the size of the chunks in which a snapshot is sent.
	shipChunkBytes = 256 << 10

	// shipTimeout is how long a chunk may take, and the receiver's verdict.
	shipTimeout = 60 * time.Second

	// shipHeaderBytesMax bounds a snapshot's header.
	shipHeaderBytesMax = 1 << 20
)

// errShipping reports that a snapshot is already being sent to the peer.
var errShipping = errors.New("another snapshot is being sent")

// SendSnapshot sends a snapshot over its own connection and closes the file. It calls
// done when the receiver has stored the snapshot, or when sending has failed.
func (t *Transport) SendSnapshot(to uint64, header []byte, sizeBytes int64, file io.ReadCloser, done func(error)) {
	s := t.to(to)
	t.mu.Lock()
	busy := s == nil || t.shipping[to] || t.ctx.Err() != nil
	if !busy {
		t.shipping[to] = true
		t.wg.Go(func() {
			err := errors.Join(t.ship(s, header, sizeBytes, file), file.Close())
			t.mu.Lock()
			delete(t.shipping, to)
			t.mu.Unlock()
			done(err)
		})
	}
	t.mu.Unlock()
	if busy {
		done(errors.Join(errShipping, file.Close()))
	}
}

func (t *Transport) ship(s *senders, header []byte, sizeBytes int64, file io.Reader) error {
	conn, remote, err := t.dial(t.ctx, address(s.control.peer), s.control.peer.ServerID, StreamSnapshot)
	if err != nil {
		return fmt.Errorf("connect for a snapshot: %w", err)
	}
	if !t.track(conn) {
		return errors.Join(net.ErrClosed, conn.Close())
	}
	defer t.untrack(conn)
	defer t.carry(conn, s.control.peer.ServerID, StreamSnapshot)()
	if remote.RaftID != s.control.peer.RaftID {
		return fmt.Errorf("connect for a snapshot: at %s is member %d, not %d", address(s.control.peer), remote.RaftID, s.control.peer.RaftID)
	}
	return shipFile(conn, header, sizeBytes, file)
}

func shipFile(conn net.Conn, header []byte, sizeBytes int64, file io.Reader) error {
	head := frame.AppendUint(frame.AppendArrayLen(nil, 3), kindSnapshot)
	head = frame.AppendInt(frame.AppendBytes(head, header), sizeBytes)
	if err := writeSealed(conn, head); err != nil {
		return fmt.Errorf("send head of snapshot: %w", err)
	}
	chunk := make([]byte, shipChunkBytes)
	for {
		n, err := io.ReadFull(file, chunk)
		if n > 0 {
			if err := errors.Join(conn.SetDeadline(time.Now().Add(shipTimeout)),
				writeSealed(conn, appendContents(nil, kindChunk, chunk[:n]))); err != nil {
				return fmt.Errorf("send snapshot: %w", err)
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return fmt.Errorf("read snapshot: %w", err)
		}
	}
	if err := writeSealed(conn, frame.AppendUint(frame.AppendArrayLen(nil, 1), kindEnd)); err != nil {
		return fmt.Errorf("send end of snapshot: %w", err)
	}
	if err := conn.SetDeadline(time.Now().Add(shipTimeout)); err != nil {
		return err
	}
	return readVerdict(conn)
}

func readVerdict(conn net.Conn) error {
	b, err := readSealed(conn, nil, helloBytesMax)
	if err != nil {
		return fmt.Errorf("await the receiver's verdict: %w", err)
	}
	r := frame.NewReader(b)
	kind, err := readKind(&r)
	if err != nil || kind != kindVerdict {
		return fmt.Errorf("read verdict: kind %d: %w", kind, errors.Join(err, errMalformed))
	}
	sentence, err := r.String(refusalBytesMax)
	if err != nil {
		return fmt.Errorf("read verdict: %w", err)
	}
	if sentence != "" {
		return fmt.Errorf("the receiver says: %s", sentence)
	}
	return nil
}

// receiveSnapshot receives a snapshot and answers with the handler's verdict.
func (t *Transport) receiveSnapshot(from uint64, conn net.Conn, in *bufio.Reader) error {
	b, err := readSealed(in, nil, shipHeaderBytesMax)
	if err != nil {
		return err
	}
	r := frame.NewReader(b)
	kind, err := readKind(&r)
	if err != nil || kind != kindSnapshot {
		return fmt.Errorf("read head of snapshot: kind %d: %w", kind, errors.Join(err, errMalformed))
	}
	header, err := r.Bytes(shipHeaderBytesMax)
	if err != nil {
		return fmt.Errorf("read head of snapshot: %w", err)
	}
	size, err := r.Int64()
	if err != nil || size < 0 {
		return fmt.Errorf("read size of snapshot: %w", errors.Join(err, errMalformed))
	}
	chunks := &chunkReader{conn: conn, in: in}
	err = t.handler.HandleSnapshot(from, header, size, chunks)
	// Read to the end in any case: closing a connection with unread input resets it,
	// and the verdict would be lost.
	if _, restErr := io.Copy(io.Discard, chunks); err == nil {
		err = restErr
	}
	sentence := ""
	if err != nil {
		sentence = err.Error()
		sentence = sentence[:min(len(sentence), refusalBytesMax)]
	}
	verdict := frame.AppendUint(frame.AppendArrayLen(nil, 2), kindVerdict)
	return writeSealed(conn, frame.AppendString(verdict, sentence))
}

// chunkReader reads the contents of the chunks up to the end frame.
type chunkReader struct {
	conn  net.Conn
	in    *bufio.Reader
	buf   []byte
	chunk []byte
	err   error
}

// Read implements io.Reader.
func (c *chunkReader) Read(p []byte) (int, error) {
	for len(c.chunk) == 0 && c.err == nil {
		c.err = c.next()
	}
	if len(c.chunk) == 0 {
		return 0, c.err
	}
	n := copy(p, c.chunk)
	c.chunk = c.chunk[n:]
	return n, nil
}

func (c *chunkReader) next() error {
	if err := c.conn.SetReadDeadline(time.Now().Add(shipTimeout)); err != nil {
		return err
	}
	b, err := readSealed(c.in, c.buf, shipChunkBytes+helloBytesMax)
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return err
	}
	c.buf = b
	r := frame.NewReader(b)
	kind, err := readKind(&r)
	switch {
	case err != nil:
		return err
	case kind == kindEnd:
		return io.EOF
	case kind != kindChunk:
		return fmt.Errorf("frame of kind %d within a snapshot: %w", kind, errMalformed)
	}
	c.chunk, err = r.Bytes(shipChunkBytes)
	return err
}
