package snapshot

import (
	"errors"
	"fmt"
	"io"
)

// windowBytes are read from a file at a time; a chunk and its head fit several
// times.
const windowBytes = 512 << 10

// window reads a file in large pieces and shows what is in them without a copy,
// but for what stands across the end of one.
type window struct {
	in   io.Reader
	buf  []byte
	rest []byte // of buf, read and not shown yet
}

// next returns the next n bytes, at most windowBytes, valid until the next call.
// That the file ends before is ErrCorrupt.
func (w *window) next(n int) ([]byte, error) {
	for len(w.rest) < n {
		switch more, err := w.fill(); {
		case err != nil:
			return nil, err
		case !more:
			return nil, fmt.Errorf("file ends early: %w", ErrCorrupt)
		}
	}
	b := w.rest[:n:n]
	w.rest = w.rest[n:]
	return b, nil
}

// more reports whether there are bytes behind those that next returned.
func (w *window) more() (bool, error) {
	if len(w.rest) > 0 {
		return true, nil
	}
	return w.fill()
}

// fill reads on, and reports false at the end of the file.
func (w *window) fill() (bool, error) {
	if w.buf == nil {
		w.buf = make([]byte, windowBytes)
	}
	kept := copy(w.buf, w.rest)
	n, err := io.ReadAtLeast(w.in, w.buf[kept:], 1)
	w.rest = w.buf[:kept+n]
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}
