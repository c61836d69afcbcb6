package backup

import (
	"errors"
	"fmt"
	"io"

	"raftcached/engine"
)

// Contents reads the items of a backup, and checks all that can be checked: the file,
// the image in it, and what the header says of it.
type Contents struct {
	file  *Reader
	image *engine.StoredImage
}

// Open reads the heads of a backup.
func Open(in io.Reader) (*Contents, error) {
	file, err := NewReader(in)
	if err != nil {
		return nil, err
	}
	image, err := engine.OpenImage(file)
	if err != nil {
		return nil, damaged(err)
	}
	c := &Contents{file, image}
	told := c.Header()
	if told.fill(image.Head()); told != c.Header() {
		return nil, fmt.Errorf("its header says %+v, its image %+v: %w", c.Header(), told, ErrDamaged)
	}
	return c, nil
}

// damaged makes an error of the image one of the file.
func damaged(err error) error {
	if errors.Is(err, engine.ErrMalformed) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: %w", err, ErrDamaged)
	}
	return err
}

// Header returns the header.
func (c *Contents) Header() Header { return c.file.Header() }

// Next reads the next chunk of items and returns it as a fill takes it, valid until the
// next call. io.EOF says that the backup is whole.
func (c *Contents) Next() ([]byte, error) {
	chunk, err := c.image.Next()
	if err == nil || !errors.Is(err, io.EOF) {
		return chunk, damaged(err)
	}
	var more [1]byte
	if n, err := c.file.Read(more[:]); n > 0 {
		return nil, fmt.Errorf("bytes follow its image: %w", ErrDamaged)
	} else if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return nil, io.EOF
}

// Items calls f with the items of the chunk that Next has returned, until f returns
// false.
func (c *Contents) Items(f func(*Item) bool) { c.image.Items(f) }

// Count returns how many items have been read.
func (c *Contents) Count() int64 { return c.image.Count() }

// Plan returns the plan of a fill with the items. It is complete when Next has returned
// io.EOF.
func (c *Contents) Plan() engine.FillPlan { return c.image.Plan() }
