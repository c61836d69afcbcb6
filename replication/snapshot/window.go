package snapshot

import (
	"errors"
	"io"

	"raftcached/replication/disk"
)

const (
	// pieceBytes are read from a file at a time. Up to piecesAhead pieces are read
	// while an earlier one is in use.
	pieceBytes  = 1 << 20
	piecesAhead = 3

	// restBytesMax is the longest part of a chunk and its head that can be left at
	// the end of a piece.
	restBytesMax = chunkBytes + 4096
)

// window reads a file in large pieces on its own goroutine. It returns parts of them
// without copying, except parts that extend over the end of a piece.
type window struct {
	in      io.Reader
	piece   *piece
	rest    []byte // of piece, not returned yet
	ready   chan *piece
	free    chan *piece
	stopped chan struct{}
	err     error // of the last piece
}

// piece is a part of the file. Its buffer, which is made when it is first read into,
// has space at the front for the rest of the previous piece.
type piece struct {
	buf []byte
	n   int
	err error
}

func newWindow(in io.Reader) *window {
	w := &window{
		in: in, ready: make(chan *piece, piecesAhead), free: make(chan *piece, piecesAhead+1), stopped: make(chan struct{}),
	}
	for range piecesAhead + 1 {
		w.free <- new(piece)
	}
	go w.read()
	return w
}

func (w *window) read() {
	defer close(w.ready)
	for {
		var p *piece
		select {
		case p = <-w.free:
		case <-w.stopped:
			return
		}
		if p.buf == nil {
			p.buf = disk.DirectBuffer(restBytesMax + pieceBytes)
		}
		p.n, p.err = io.ReadFull(w.in, p.buf[restBytesMax:])
		select {
		case w.ready <- p:
		case <-w.stopped:
			return
		}
		if p.err != nil {
			return
		}
	}
}

// stop ends the goroutine and waits for it. The window cannot be used any more.
func (w *window) stop() {
	close(w.stopped)
	for range w.ready {
		continue // until it is closed
	}
}

// next returns the next n bytes, at most a chunk and its head. They are valid until
// the next call. It returns ErrCorrupt if the file ends too early.
func (w *window) next(n int) ([]byte, error) {
	for len(w.rest) < n {
		switch more, err := w.fill(); {
		case err != nil:
			return nil, err
		case !more:
			return nil, errShort
		}
	}
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b, nil
}

// more reports whether there are bytes after those that next returned.
func (w *window) more() (bool, error) {
	if len(w.rest) > 0 {
		return true, nil
	}
	return w.fill()
}

// fill moves on to the next piece. It reports false at the end of the file.
func (w *window) fill() (bool, error) {
	if w.err != nil {
		if errors.Is(w.err, io.EOF) || errors.Is(w.err, io.ErrUnexpectedEOF) {
			return false, nil
		}
		return false, w.err
	}
	p := <-w.ready
	from := restBytesMax - len(w.rest)
	copy(p.buf[from:], w.rest)
	w.rest = p.buf[from : restBytesMax+p.n]
	if w.piece != nil {
		w.free <- w.piece
	}
	w.piece, w.err = p, p.err
	return p.n > 0, nil
}
