package engine

import (
	"fmt"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// chunksAhead is how many chunks of an image are read and checked while others
// are stored: the disk and the memory take turns in being slow.
const chunksAhead = 8

// chunkReader reads the chunks of an image and their items on a goroutine of its
// own: that takes as long as storing does. It ends by the end of the image, by an
// error, or by stop.
type chunkReader struct {
	nowMs   int64
	ready   chan *imageChunk
	free    chan *imageChunk // those that were stored
	stopped chan struct{}
	last    *imageChunk // that next returned
}

// imageChunk is a chunk of an image.
type imageChunk struct {
	buf   []byte
	seed  store.Seed  // of the items' hashes
	kind  byte        // 0: after the last one
	body  []byte      // of buf
	items []imageItem // of a chunk of items
	err   error
}

// imageItem is an item of a chunk. Key and value alias the chunk.
type imageItem struct {
	meta       store.Meta
	key, value []byte
	hash       uint64
}

// readAhead begins to read the chunks of in and what follows the last one, for a
// state of the given time and seed. Nobody else may use in until stop has returned.
func readAhead(in *imageReader, nowMs int64, seed store.Seed) *chunkReader {
	c := &chunkReader{
		nowMs:   nowMs,
		ready:   make(chan *imageChunk, chunksAhead),
		free:    make(chan *imageChunk, chunksAhead),
		stopped: make(chan struct{}),
	}
	for range chunksAhead {
		c.free <- &imageChunk{seed: seed}
	}
	go c.read(in)
	return c
}

func (c *chunkReader) read(in *imageReader) {
	defer close(c.ready)
	for {
		var chunk *imageChunk
		select {
		case chunk = <-c.free:
		case <-c.stopped:
			return
		}
		chunk.err = chunk.read(in, c.nowMs)
		select {
		case c.ready <- chunk:
		case <-c.stopped:
			return
		}
		if chunk.kind == 0 || chunk.err != nil {
			return
		}
	}
}

// read reads the next chunk, or the end of the image.
func (c *imageChunk) read(in *imageReader, nowMs int64) error {
	b, err := in.chunk(c.buf)
	switch {
	case err != nil:
		return err
	case b == nil:
		c.kind = 0
		return in.end()
	}
	if !c.take(b) {
		return fmt.Errorf("chunk of kind %d: %w", c.kind, ErrMalformed)
	} else if c.kind == chunkGhost {
		return nil
	}
	if err := c.parse(); err != nil {
		return err
	}
	for i := range c.items {
		if m := &c.items[i].meta; !m.ValidExpiry(nowMs) {
			return fmt.Errorf("item that expires at %d, level %d: %w", m.ExpiryMs, m.Level, ErrMalformed)
		}
	}
	return nil
}

// take takes the bytes of a chunk, and reports whether they are of a kind that there
// is.
func (c *imageChunk) take(b []byte) bool {
	c.buf, c.kind, c.items = b, 0, c.items[:0]
	if len(b) == 0 || b[0] < chunkSmall || b[0] > chunkGhost {
		return false
	}
	c.kind, c.body = b[0], b[1:]
	return true
}

// parse reads the items of the body.
func (c *imageChunk) parse() error {
	for r := (reader{b: c.body}); len(r.b) > 0; {
		it, err := readImageItem(&r)
		if err != nil {
			return err
		}
		it.hash = c.seed.Hash(it.key)
		c.items = append(c.items, it)
	}
	return nil
}

// readImageItem reads the next item of a chunk. Its expiry may be any.
func readImageItem(r *reader) (imageItem, error) {
	keyLen, bits := int(r.byte()), r.byte()
	m := store.Meta{Freq: uint32(bits >> itemFreq), Level: bits & itemLevelMask}
	if bits&itemMarksBit != 0 {
		m.Marks = item.Marks(r.byte())
		if m.Marks == 0 || m.Marks&^(item.Stale|item.AlreadyWon) != 0 {
			r.fail()
		}
	}
	valueLen := r.uvarint()
	m.Flags = r.uint32()
	m.ExpiryMs = r.varint()
	m.CAS = r.uvarint()
	key, value := r.take(uint64(keyLen)), r.take(valueLen)
	if r.failed || keyLen == 0 || keyLen > item.KeyBytesMax {
		return imageItem{}, fmt.Errorf("item with a key of %d bytes: %w", keyLen, ErrMalformed)
	}
	return imageItem{meta: m, key: key, value: value}, nil
}

// next returns the next chunk, valid until the next call, or nil when the image
// has ended as it should.
func (c *chunkReader) next() (*imageChunk, error) {
	if c.last != nil {
		c.free <- c.last // there is room: it came from there
	}
	c.last = <-c.ready
	if c.last.err != nil || c.last.kind == 0 {
		return nil, c.last.err
	}
	return c.last, nil
}

// stop ends the reading and waits for it.
func (c *chunkReader) stop() {
	close(c.stopped)
	for range c.ready {
		continue // until it is closed
	}
}
