package engine

// chunksAhead is how many chunks of an image are read and checked while others
// are stored: the disk and the memory take turns in being slow.
const chunksAhead = 8

// chunkReader reads the chunks of an image on a goroutine of its own: reading and
// checking takes as long as storing does. It ends by the end of the image, by an
// error, or by stop.
type chunkReader struct {
	ready   chan readChunk
	free    chan []byte // buffers, of chunks that were stored
	stopped chan struct{}
	last    []byte // the chunk that next returned
}

// readChunk is a chunk; both are nil behind the last one.
type readChunk struct {
	chunk []byte
	err   error
}

// readAhead begins to read the chunks of in and what follows the last one.
// Nobody else may use in until stop has returned.
func readAhead(in *imageReader) *chunkReader {
	c := &chunkReader{
		ready:   make(chan readChunk, chunksAhead),
		free:    make(chan []byte, chunksAhead),
		stopped: make(chan struct{}),
	}
	for range chunksAhead {
		c.free <- nil
	}
	go c.read(in)
	return c
}

func (c *chunkReader) read(in *imageReader) {
	defer close(c.ready)
	for {
		var buf []byte
		select {
		case buf = <-c.free:
		case <-c.stopped:
			return
		}
		chunk, err := in.chunk(buf)
		if chunk == nil && err == nil {
			err = in.end()
		}
		select {
		case c.ready <- readChunk{chunk, err}:
		case <-c.stopped:
			return
		}
		if chunk == nil {
			return
		}
	}
}

// next returns the next chunk, valid until the next call, or nil when the image
// has ended as it should.
func (c *chunkReader) next() ([]byte, error) {
	if c.last != nil {
		c.free <- c.last // there is room: it came from there
		c.last = nil
	}
	r := <-c.ready
	c.last = r.chunk
	return r.chunk, r.err
}

// stop ends the reading and waits for it.
func (c *chunkReader) stop() {
	close(c.stopped)
	for range c.ready {
		continue // until it is closed
	}
}
