package backup

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"github.com/cespare/xxhash/v2"
)

// Reader reads the image in a backup and checks the file while reading. It returns
// io.EOF only if the file was whole. Errors are ErrDamaged, or those of what it reads.
type Reader struct {
	in     io.Reader
	header Header
	buf    []byte // holds the chunk
	chunk  []byte // its unread rest
	digest *xxhash.Digest
	size   uint64
	err    error
}

// NewReader reads the header of a backup.
func NewReader(in io.Reader) (*Reader, error) {
	r := &Reader{in: in, digest: xxhash.New()}
	start := make([]byte, startBytes)
	if err := r.full(start); err != nil {
		return nil, err
	}
	if string(start[:8]) != magic {
		return nil, fmt.Errorf("it is no backup: it begins with %q, not %q: %w", start[:8], magic, ErrDamaged)
	}
	if v := binary.LittleEndian.Uint32(start[8:]); v != Version {
		return nil, fmt.Errorf("the backup has format %d, and this program reads only %d: use a newer raftcachectl", v, Version)
	}
	n := binary.LittleEndian.Uint32(start[12:])
	if n > headerBytesMax {
		return nil, fmt.Errorf("its header has %d bytes, at most %d expected: %w", n, headerBytesMax, ErrDamaged)
	}
	rest := make([]byte, n+4)
	if err := r.full(rest); err != nil {
		return nil, err
	}
	sum := crc32.Update(crc32.Checksum(start, castagnoli), castagnoli, rest[:n])
	if sum != binary.LittleEndian.Uint32(rest[n:]) {
		return nil, fmt.Errorf("its header has another checksum: %w", ErrDamaged)
	}
	var err error
	r.header, err = readHeader(rest[:n])
	return r, err
}

// Header returns the header.
func (r *Reader) Header() Header { return r.header }

// Read implements io.Reader.
func (r *Reader) Read(b []byte) (int, error) {
	for len(r.chunk) == 0 && r.err == nil {
		r.err = r.next()
	}
	if len(r.chunk) == 0 {
		return 0, r.err
	}
	n := copy(b, r.chunk)
	r.chunk = r.chunk[n:]
	return n, nil
}

// next reads and checks the next chunk. It returns io.EOF after a valid end.
func (r *Reader) next() error {
	var head [8]byte
	if err := r.full(head[:4]); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 {
		return r.end()
	}
	if n > chunkBytesMax {
		return fmt.Errorf("a chunk of %d bytes, at most %d expected: %w", n, chunkBytesMax, ErrDamaged)
	}
	if err := r.full(head[4:]); err != nil {
		return err
	}
	if r.buf == nil {
		r.buf = make([]byte, chunkBytesMax)
	}
	chunk := r.buf[:n]
	if err := r.full(chunk); err != nil {
		return err
	}
	if crc32.Checksum(chunk, castagnoli) != binary.LittleEndian.Uint32(head[4:]) {
		return fmt.Errorf("a chunk has another checksum: %w", ErrDamaged)
	}
	_, _ = r.digest.Write(chunk) // never fails
	r.chunk = chunk
	r.size += uint64(n)
	return nil
}

func (r *Reader) end() error {
	end := make([]byte, endBytes) // begins with the length, 0
	if err := r.full(end[4:]); err != nil {
		return err
	}
	if crc32.Checksum(end[:20], castagnoli) != binary.LittleEndian.Uint32(end[20:]) {
		return fmt.Errorf("its end has another checksum: %w", ErrDamaged)
	}
	if size, digest := binary.LittleEndian.Uint64(end[4:]), binary.LittleEndian.Uint64(end[12:]); size != r.size || digest != r.digest.Sum64() {
		return fmt.Errorf("it has %d bytes of contents, its end says %d, or they have another digest: %w", r.size, size, ErrDamaged)
	}
	var more [1]byte
	switch _, err := io.ReadFull(r.in, more[:]); {
	case errors.Is(err, io.EOF):
		return io.EOF
	case err != nil:
		return err
	}
	return fmt.Errorf("bytes follow its end: %w", ErrDamaged)
}

// full fills b.
func (r *Reader) full(b []byte) error {
	_, err := io.ReadFull(r.in, b)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errShort
	}
	return err
}
