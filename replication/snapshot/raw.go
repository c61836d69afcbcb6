package snapshot

import (
	"errors"
	"fmt"
	"io"
)

// Raw opens a snapshot's file as it is, for Receive on another node. Its bytes are
// checked before they are returned: reading a damaged file fails with ErrCorrupt.
func (s *Store) Raw(index, term uint64) (rc io.ReadCloser, sizeBytes int64, err error) {
	f, err := s.fs.OpenDirect(s.name(index, term))
	if err != nil {
		return nil, 0, fmt.Errorf("open snapshot: %w", err)
	}
	kept := &keeping{window: newWindow(f)}
	r := &rawReader{reader: Reader{file: f, in: kept}, kept: kept}
	if sizeBytes, err = f.Size(); err == nil {
		_, err = readHead(kept, index, term)
	}
	if err != nil {
		return nil, 0, errors.Join(err, r.Close())
	}
	return r, sizeBytes, nil
}

// keeping keeps the parts that it returns.
type keeping struct {
	*window
	parts []byte
}

func (k *keeping) next(n int) ([]byte, error) {
	b, err := k.window.next(n)
	k.parts = append(k.parts, b...)
	return b, err
}

// rawReader returns the parts that its reader has checked.
type rawReader struct {
	reader Reader
	kept   *keeping
	at     int // in kept.parts; what is before was returned
	err    error
}

// Read implements io.Reader.
func (r *rawReader) Read(b []byte) (int, error) {
	for r.at == len(r.kept.parts) {
		if r.err != nil {
			return 0, r.err
		}
		r.kept.parts, r.at = r.kept.parts[:0], 0
		if r.err = r.reader.next(); r.err != nil && !errors.Is(r.err, io.EOF) {
			r.kept.parts = nil
		}
	}
	n := copy(b, r.kept.parts[r.at:])
	r.at += n
	return n, nil
}

// Close closes the file.
func (r *rawReader) Close() error { return r.reader.Close() }
