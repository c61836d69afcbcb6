package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"runtime"

	"github.com/cespare/xxhash/v2"

	"raftcached/engine/store"
)

// Restore replaces the state by that of an image, or leaves it as it is and
// returns an error for bytes that are no whole image.
func (e *Engine) Restore(r io.Reader) error {
	in := &imageReader{r: r, digest: xxhash.New()}
	fresh, want, err := e.readImageHead(in)
	if err != nil {
		return fmt.Errorf("read image: %w", err)
	}
	if err := fresh.readChunks(in); err != nil {
		fresh.Close()
		return fmt.Errorf("read image: %w", err)
	}
	if got := fresh.contents(); got != want {
		fresh.Close()
		return fmt.Errorf("image holds %+v, its head says %+v: %w", got, want, ErrMalformed)
	}
	e.takeOver(fresh)
	return nil
}

// contents is what an image's head says of its items.
type contents struct {
	count      int64
	small, all int64 // bytes
	sum        uint64
	ghosts     uint64 // digest of the table of ghosts
}

func (e *Engine) contents() contents {
	return contents{
		count: e.st.Count(), small: e.st.Bytes(store.QueueSmall), all: e.st.Total(), sum: e.st.Sum(), ghosts: e.ghosts.sum,
	}
}

// takeOver makes the state that of fresh, which must not be used any more.
func (e *Engine) takeOver(fresh *Engine) {
	e.limits, e.formedBytes = fresh.limits, fresh.formedBytes
	e.formed.Store(fresh.formed.Load())
	e.setOffset(fresh.OffsetMs())
	e.mutations, e.pendingFlush, e.events = fresh.mutations, fresh.pendingFlush, fresh.events
	e.counts, e.evictedAfter = fresh.counts, fresh.evictedAfter
	e.layout = fresh.layout
	fresh.st.EndFill()
	if e.fill = fresh.fill; e.fill.going {
		e.hide(true)
	}
	e.become(fresh.st)
	e.hide(e.fill.going)
	e.ghosts.close()
	e.ghosts = fresh.ghosts
	e.publish()
}

// imageHead is the head of an image, decoded.
type imageHead struct {
	version uint32
	limits  Limits
	formed  bool
	words   [imageHeadWords]uint64
	seed    store.Seed
	fill    fill
	offset  int64
}

// readHead reads and checks an image's head.
func readHead(in *imageReader) (h imageHead, err error) {
	head := make([]byte, imageHeadBytes, imageHeadBytes+seedBytes+fillBytes+2*offsetBytes)
	if err := in.full(head[:imageStartBytes]); err != nil {
		return h, err
	}
	if string(head[:8]) != imageMagic {
		return h, fmt.Errorf("magic is %q: %w", head[:8], ErrMalformed)
	}
	h.version = binary.LittleEndian.Uint32(head[8:])
	if h.version < imageVersion || h.version > imageVersionMax {
		return h, fmt.Errorf("the image has format %d and this program reads only %d to %d: %w", h.version, imageVersion, imageVersionMax, ErrMalformed)
	}
	head = head[:len(head)+h.partBytes()]
	if err := in.checked(head, imageStartBytes); err != nil {
		return h, err
	}
	var ok bool
	h.limits, ok = readLimits(head[imageStartBytes : imageStartBytes+limitsBytes])
	h.formed = head[imageStartBytes+limitsBytes] == 1
	for i := range h.words {
		h.words[i] = binary.LittleEndian.Uint64(head[imageStartBytes+limitsBytes+1+8*i:])
	}
	if _, formedOK := readLimits(appendLimits(nil, h.formation())); !ok || !formedOK {
		return h, fmt.Errorf("limits are %+v: %w", h.limits, ErrMalformed)
	}
	return h, h.readParts(head[imageHeadBytes:])
}

// readParts reads what only some images have.
func (h *imageHead) readParts(rest []byte) (err error) {
	if h.has(imageSeedBit) {
		if h.seed, rest = store.Seed(binary.LittleEndian.Uint64(rest)), rest[seedBytes:]; h.seed == 0 {
			return fmt.Errorf("seed is 0: %w", ErrMalformed)
		}
	}
	if h.has(imageFillBit) {
		n := fillBytes
		if h.has(imageFillOffsetBit) {
			n += offsetBytes
		}
		if h.fill, err = readFill(rest[:n]); err != nil {
			return err
		}
		rest = rest[n:]
	}
	if h.has(imageOffsetBit) {
		if h.offset = int64(binary.LittleEndian.Uint64(rest)); !validOffset(h.offset) {
			return fmt.Errorf("offset is %d: %w", h.offset, ErrMalformed)
		}
	}
	return nil
}

// partBytes is the size of what only some images have.
func (h *imageHead) partBytes() (n int) {
	for bit, size := range map[uint32]int{imageSeedBit: seedBytes, imageFillBit: fillBytes, imageOffsetBit: offsetBytes, imageFillOffsetBit: offsetBytes} {
		if h.has(bit) {
			n += size
		}
	}
	return n
}

// has reports whether the head has what a bit stands for.
func (h *imageHead) has(bit uint32) bool { return (h.version-imageVersion)&bit != 0 }

// formation is the limits at the formation.
func (h *imageHead) formation() Limits {
	l := h.limits
	l.MemoryBytes = int64(h.words[wordFormedBytes])
	return l
}

// readImageHead reads an image's head into an engine without items.
func (e *Engine) readImageHead(in *imageReader) (fresh *Engine, want contents, err error) {
	h, err := readHead(in)
	if err != nil {
		return nil, want, err
	}
	v, formed := &h.words, h.formation()
	room := min(v[wordItems], uint64(h.limits.MemoryBytes/store.ChargeMin)) // the count may be anything
	layout := e.layout
	if formed.MemoryBytes != e.formedBytes {
		layout = store.LayoutFor(formed.MemoryBytes)
	}
	if fresh, err = newWithLayout(formed, layout, int(room), h.seed); err != nil {
		return nil, want, err
	}
	fresh.limits, fresh.fill = h.limits, h.fill
	fresh.setOffset(h.offset)
	fresh.formed.Store(h.formed)
	fresh.st.BeginFill()
	fresh.st.SetNowMs(int64(v[wordTimeMs]))
	fresh.mutations, fresh.pendingFlush, fresh.events = v[wordMutations], int64(v[wordPendingFlush]), v[wordEvents]
	fresh.ghosts.made, fresh.ghosts.sum = v[wordGhostsMade], v[wordGhostsSum]
	for i, n := range fresh.counts.fields() {
		*n = int64(v[countWords[i]])
	}
	return fresh, contents{
		count: int64(v[wordItems]), small: int64(v[wordBytesSmall]), all: int64(v[wordBytesSmall] + v[wordBytesMain]),
		sum: v[wordSum], ghosts: v[wordGhostsSum],
	}, nil
}

func (e *Engine) readChunks(in *imageReader) error {
	chunks := readAhead(in, e.st.NowMs(), e.st.Seed())
	defer chunks.stop()
	for {
		chunk, err := chunks.next()
		if err != nil || chunk == nil {
			return err
		}
		if chunk.kind == chunkGhost {
			err = e.ghosts.addPage(chunk.body)
		} else {
			err = e.addItems(int(chunk.kind-chunkSmall), chunk.items)
		}
		if err != nil {
			return err
		}
	}
}

// addItems stores items at the end of a queue. It touches the places of all of them in
// the index first, so that the processor loads these side by side.
func (e *Engine) addItems(q int, items []imageItem) error {
	touched := uint32(0)
	for i := range items {
		touched += e.st.Touch(items[i].hash)
	}
	runtime.KeepAlive(touched)
	for i := range items {
		it := &items[i]
		p := e.st.FindHashed(it.hash, it.key)
		if p.Exists() {
			return fmt.Errorf("key %q twice: %w", it.key, ErrMalformed)
		}
		e.st.Add(q, &p, &it.meta, it.key, it.value, nil)
		e.st.Free()
		if e.st.Total() > max(e.limits.MemoryBytes, store.LimitMax(e.formedBytes)) {
			return fmt.Errorf("items of %d bytes: %w", e.st.Total(), ErrMalformed)
		}
	}
	return nil
}

// addPage takes a part of the table of ghosts.
func (g *ghosts) addPage(b []byte) error {
	if len(b) < 4 {
		return fmt.Errorf("part of the ghosts of %d bytes: %w", len(b), ErrMalformed)
	}
	g.allocate()
	n := int64(binary.LittleEndian.Uint32(b))
	if n*ghostPageBytes >= int64(g.size) || len(g.page(int(n))) != len(b)-4 {
		return fmt.Errorf("part %d of the ghosts has %d bytes: %w", n, len(b)-4, ErrMalformed)
	}
	copy(g.page(int(n)), b[4:])
	return nil
}

// imageReader reads the parts of an image and checks them.
type imageReader struct {
	r      io.Reader
	digest *xxhash.Digest
}

// full fills b and takes it into the digest.
func (in *imageReader) full(b []byte) error {
	if _, err := io.ReadFull(in.r, b); err != nil {
		if errors.Is(err, io.EOF) {
			return io.ErrUnexpectedEOF // an image has an end of its own
		}
		return err
	}
	_, _ = in.digest.Write(b) // never fails
	return nil
}

// checked fills b from at on and compares the checksum of all of it, which follows.
func (in *imageReader) checked(b []byte, at int) error {
	var sum [4]byte
	if err := in.full(b[at:]); err != nil {
		return err
	}
	if err := in.full(sum[:]); err != nil {
		return err
	}
	if crc32.Checksum(b, castagnoli) != binary.LittleEndian.Uint32(sum[:]) {
		return fmt.Errorf("checksum differs: %w", ErrMalformed)
	}
	return nil
}

// chunk reads the next chunk into buf, which grows if it is too short, and
// returns it, or nil at the end.
func (in *imageReader) chunk(buf []byte) ([]byte, error) {
	var head [4]byte
	if err := in.full(head[:]); err != nil {
		return nil, err
	}
	n := int(binary.LittleEndian.Uint32(head[:]))
	if n == 0 {
		return nil, nil
	}
	if n > chunkBytesMax {
		return nil, fmt.Errorf("chunk of %d bytes, at most %d expected: %w", n, chunkBytesMax, ErrMalformed)
	}
	if err := in.full(head[:]); err != nil {
		return nil, err
	}
	// Grow with what really comes, not with what the length claims.
	const piece = 1 << 20
	buf = buf[:0]
	for len(buf) < n {
		at := len(buf)
		step := min(piece, n-at)
		if cap(buf) < at+step {
			buf = append(make([]byte, 0, 2*cap(buf)+step), buf...)
		}
		buf = buf[:at+step]
		if err := in.full(buf[at:]); err != nil {
			return nil, err
		}
	}
	if crc32.Checksum(buf, castagnoli) != binary.LittleEndian.Uint32(head[:]) {
		return nil, fmt.Errorf("chunk of %d bytes has another checksum: %w", n, ErrMalformed)
	}
	return buf, nil
}

// end reads what follows the last chunk.
func (in *imageReader) end() error {
	want := in.digest.Sum64()
	var b [8]byte
	if err := in.full(b[:]); err != nil {
		return err
	}
	if got := binary.LittleEndian.Uint64(b[:]); got != want {
		return fmt.Errorf("digest of the whole is %016x, want %016x: %w", got, want, ErrMalformed)
	}
	return nil
}
