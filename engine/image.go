package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

const (
	imageMagic     = "rcengine"
	imageVersion   = 1
	imageHeadBytes = 8 + 4 + 8 + 8 + 1 + 8*8

	// chunkBytesTarget is the size at which a chunk is written. One item may
	// make it longer.
	chunkBytesTarget = 128 << 10

	// chunkBytesMax bounds a chunk that is read.
	chunkBytesMax = 32 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Image is the state at one moment. Any one goroutine may write it while the
// engine goes on.
type Image struct {
	head   []byte
	items  []*item
	digest uint64
}

// Image captures the state. It costs a pointer for each item.
func (e *Engine) Image() *Image {
	head := append(make([]byte, 0, imageHeadBytes), imageMagic...)
	head = binary.LittleEndian.AppendUint32(head, imageVersion)
	head = binary.LittleEndian.AppendUint64(head, uint64(e.limits.MemoryBytes))
	head = binary.LittleEndian.AppendUint64(head, uint64(e.limits.ItemBytesMax))
	noEvict := byte(0)
	if e.limits.NoEvict {
		noEvict = 1
	}
	head = append(head, noEvict)
	for _, v := range []uint64{
		uint64(e.timeMs.Load()), e.mutations, e.horizon.Load(), uint64(e.pendingFlush),
		uint64(e.total), uint64(e.evictions), uint64(e.expired), uint64(e.count),
	} {
		head = binary.LittleEndian.AppendUint64(head, v)
	}
	items := make([]*item, 0, e.count)
	for it := e.queue.oldest(); it != nil && it != &e.queue.root; it = it.next {
		items = append(items, it)
	}
	return &Image{head: head, items: items, digest: e.Digest()}
}

// WriteTo implements io.WriterTo.
func (i *Image) WriteTo(w io.Writer) (int64, error) {
	out := &imageWriter{w: w}
	out.write(i.head)
	out.writeSum(i.head)
	var chunk []byte
	for _, it := range i.items {
		chunk = appendItem(chunk, it)
		if len(chunk) >= chunkBytesTarget {
			out.writeChunk(chunk)
			chunk = chunk[:0]
		}
	}
	if len(chunk) > 0 {
		out.writeChunk(chunk)
	}
	end := binary.LittleEndian.AppendUint64(nil, i.digest)
	out.write([]byte{0, 0, 0, 0})
	out.write(end)
	out.writeSum(end)
	if out.err != nil {
		return out.n, fmt.Errorf("write image: %w", out.err)
	}
	return out.n, nil
}

func appendItem(dst []byte, it *item) []byte {
	dst = binary.AppendUvarint(dst, uint64(it.keyLen))
	dst = binary.AppendUvarint(dst, uint64(len(it.bytes)-it.keyLen))
	dst = binary.AppendUvarint(dst, uint64(it.flags))
	dst = binary.AppendVarint(dst, it.expiryMs)
	dst = binary.AppendUvarint(dst, it.cas)
	dst = binary.AppendUvarint(dst, it.order)
	return append(dst, it.bytes...)
}

// imageWriter keeps the first error and counts bytes.
type imageWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (w *imageWriter) write(b []byte) {
	if w.err == nil {
		var n int
		n, w.err = w.w.Write(b)
		w.n += int64(n)
	}
}

func (w *imageWriter) writeSum(b []byte) {
	w.write(binary.LittleEndian.AppendUint32(nil, crc32.Checksum(b, castagnoli)))
}

func (w *imageWriter) writeChunk(b []byte) {
	w.write(binary.LittleEndian.AppendUint32(nil, uint32(len(b))))
	w.writeSum(b)
	w.write(b)
}

// Restore replaces the state by that of an image, or leaves it as it is and
// returns an error: bytes that are no whole image, or one of an engine with
// other limits.
func (e *Engine) Restore(r io.Reader) error {
	fresh, items, err := e.readHead(r)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	for {
		chunk, err := readChunk(r)
		if err != nil {
			return fmt.Errorf("read image: %w", err)
		}
		if chunk == nil {
			break
		}
		if err := fresh.addItems(chunk); err != nil {
			return fmt.Errorf("read image: %w", err)
		}
	}
	end := make([]byte, 8)
	if err := readChecked(r, end); err != nil {
		return fmt.Errorf("read end of image: %w", err)
	}
	if want := binary.LittleEndian.Uint64(end); fresh.count != items || fresh.Digest() != want {
		return fmt.Errorf("image has %d items with digest %016x, want %d with %016x: %w",
			fresh.count, fresh.Digest(), items, want, ErrMalformed)
	}
	e.become(fresh)
	return nil
}

// become takes over the state of fresh. Readers are kept out meanwhile: they see
// all of the old state or all of the new one.
func (e *Engine) become(fresh *Engine) {
	for i := range e.shards {
		e.shards[i].mu.Lock()
	}
	e.timeMs.Store(fresh.timeMs.Load())
	e.horizon.Store(fresh.horizon.Load())
	for i := range e.shards {
		e.shards[i].items = fresh.shards[i].items
		e.shards[i].mu.Unlock()
	}
	e.state = fresh.state
	if first := e.queue.root.next; first != &fresh.queue.root {
		first.prev, e.queue.root.prev.next = &e.queue.root, &e.queue.root
	} else {
		e.queue.init()
	}
	e.publish()
}

// readHead reads an image's head into an engine without items and returns how
// many follow.
func (e *Engine) readHead(r io.Reader) (fresh *Engine, items int64, err error) {
	head := make([]byte, imageHeadBytes)
	if err := readChecked(r, head); err != nil {
		return nil, 0, err
	}
	if string(head[:8]) != imageMagic {
		return nil, 0, fmt.Errorf("magic is %q: %w", head[:8], ErrMalformed)
	}
	if v := binary.LittleEndian.Uint32(head[8:]); v != imageVersion {
		return nil, 0, fmt.Errorf("version is %d, this program knows %d: %w", v, imageVersion, ErrMalformed)
	}
	limits := Limits{
		MemoryBytes:  int64(binary.LittleEndian.Uint64(head[12:])),
		ItemBytesMax: int(binary.LittleEndian.Uint64(head[20:])),
		NoEvict:      head[28] != 0,
	}
	if limits != e.limits {
		return nil, 0, fmt.Errorf("limits are %+v, this node has %+v: start it with those", limits, e.limits)
	}
	var v [8]uint64
	for i := range v {
		v[i] = binary.LittleEndian.Uint64(head[29+8*i:])
	}
	fresh = New(limits)
	fresh.timeMs.Store(int64(v[0]))
	fresh.mutations = v[1]
	fresh.horizon.Store(v[2])
	fresh.pendingFlush = int64(v[3])
	fresh.total, fresh.evictions, fresh.expired = int64(v[4]), int64(v[5]), int64(v[6])
	return fresh, int64(v[7]), nil
}

// addItems inserts the items of a chunk, which keeps belonging to the caller.
func (e *Engine) addItems(chunk []byte) error {
	r := reader{b: chunk}
	for len(r.b) > 0 {
		keyLen, valueLen := r.uvarint(), r.uvarint()
		it := &item{heapAt: -1}
		it.flags = r.uint32()
		it.expiryMs = r.varint()
		it.cas, it.order = r.uvarint(), r.uvarint()
		key, value := r.take(keyLen), r.take(valueLen)
		if r.failed || len(key) == 0 || len(key) > keyBytesMax {
			return fmt.Errorf("item with a key of %d bytes: %w", keyLen, ErrMalformed)
		}
		if last := e.queue.root.prev; e.count > 0 && it.order <= last.order || it.order > e.mutations {
			return fmt.Errorf("item of order %d out of order: %w", it.order, ErrMalformed)
		}
		if e.shard(key).items[string(key)] != nil {
			return fmt.Errorf("key %q twice: %w", key, ErrMalformed)
		}
		it.bytes = append(append(make([]byte, 0, len(key)+len(value)), key...), value...)
		it.keyLen = len(key)
		it.seal()
		e.insert(it)
		if e.bytes > e.limits.MemoryBytes {
			return fmt.Errorf("items of more than %d bytes: %w", e.limits.MemoryBytes, ErrMalformed)
		}
	}
	return nil
}

// readChunk returns the next chunk, or nil at the end.
func readChunk(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, noEOF(err)
	}
	n := binary.LittleEndian.Uint32(head[:])
	if n == 0 {
		return nil, nil
	}
	if n > chunkBytesMax {
		return nil, fmt.Errorf("chunk of %d bytes, at most %d expected: %w", n, chunkBytesMax, ErrMalformed)
	}
	var sum [4]byte
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return nil, noEOF(err)
	}
	// Grow with what really comes, not with what the length claims.
	chunk, err := io.ReadAll(io.LimitReader(r, int64(n)))
	if err != nil {
		return nil, err
	}
	if len(chunk) < int(n) || crc32.Checksum(chunk, castagnoli) != binary.LittleEndian.Uint32(sum[:]) {
		return nil, fmt.Errorf("chunk of %d bytes has another checksum: %w", n, ErrMalformed)
	}
	return chunk, nil
}

// readChecked fills b and compares its checksum, which follows.
func readChecked(r io.Reader, b []byte) error {
	if _, err := io.ReadFull(r, b); err != nil {
		return noEOF(err)
	}
	var sum [4]byte
	if _, err := io.ReadFull(r, sum[:]); err != nil {
		return noEOF(err)
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(sum[:]) {
		return fmt.Errorf("checksum differs: %w", ErrMalformed)
	}
	return nil
}

// noEOF makes the end of input within an image an error.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
