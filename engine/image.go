package engine

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
)

const (
	imageMagic   = "rcengine"
	imageVersion = 4

	// chunkBytesTarget is the size at which a chunk ends. One item may make it
	// longer.
	chunkBytesTarget = 128 << 10

	// walkedBytesMax bounds the records that one part of an image goes past: most
	// may be dead, or have expired.
	walkedBytesMax = 1 << 20

	// chunkBytesMax bounds a chunk that is read.
	chunkBytesMax = 32 << 20

	// keptShift: an image is behind when the records that are kept for it take an
	// eighth of the memory limit.
	keptShift = 3

	chunkSmall = 1 + queueSmall // items of the small queue
	chunkMain  = 1 + queueMain  // items of the main queue
	chunkGhost = 3              // a part of the table of ghosts

	// The second byte of an item.
	itemFreq      = 6 // shift
	itemMarksBit  = 1 << 5
	itemLevelMask = itemMarksBit - 1
)

// ErrAborted tells that an image cannot be finished: the state that it is of was
// replaced by a flush_all or by another image, or what it kept was all that was
// left of the arena.
var ErrAborted = errors.New("image aborted")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Image is the state at one moment, written bit by bit while the engine goes on.
// Only the applier may use it.
//
// It walks the segments in the order of the queues. An item that changes before
// the image has come by is stored anew like any other; what it was stays in its
// place until then, see store.frozen. Parts of the table of ghosts are copied
// before they change.
type Image struct {
	engine   *Engine
	store    *store
	head     []byte // nil once written
	timeMs   int64
	segments []*segment
	pages    int // of the ghosts
	page     int // next one to be written
	saved    map[int][]byte
	walked   int            // bytes of records, for this part
	digest   *xxhash.Digest // of everything written
	ended    bool
	aborted  bool
}

// Image begins an image of the state as it is now. There may be one at a time:
// it goes on until Next has returned everything.
func (e *Engine) Image() *Image {
	if e.image != nil {
		panic("engine: an image is being written already")
	}
	if e.st.compact.to != nil {
		e.st.endCompaction()
	}
	i := &Image{
		engine: e, store: e.st, head: e.appendImageHead(nil), timeMs: e.st.timeMs.Load(),
		saved: make(map[int][]byte), digest: xxhash.New(),
	}
	if e.ghosts.mem != nil {
		i.pages = (e.ghosts.size + ghostPageBytes - 1) / ghostPageBytes
		e.ghosts.changes = i.savePage
	}
	for q := range queueCount {
		for seg := e.st.queues[q].first; seg != nil; seg = seg.next {
			if seg.live > 0 {
				seg.imaged, seg.imageFrom, seg.imageTo = true, seg.head, seg.size
				i.segments = append(i.segments, seg)
			}
		}
	}
	e.image = i
	return i
}

// appendImageHead appends the head of an image, with its checksum.
func (e *Engine) appendImageHead(b []byte) []byte {
	b = append(b, imageMagic...)
	b = binary.LittleEndian.AppendUint32(b, imageVersion)
	b = appendLimits(b, e.limits)
	b = append(b, byte(btoi(e.formed.Load())))
	for _, v := range []uint64{
		uint64(e.formedBytes), uint64(e.st.timeMs.Load()), e.mutations, uint64(e.pendingFlush),
		uint64(e.totalItems), uint64(e.evictions), uint64(e.expired), e.events,
		uint64(e.st.count), uint64(e.st.bytes[queueSmall]), uint64(e.st.bytes[queueMain]), e.st.sum,
		e.ghosts.made, e.ghosts.sum, uint64(e.unfetched.evicted), uint64(e.unfetched.expired),
	} {
		b = binary.LittleEndian.AppendUint64(b, v)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// imageHeadBytes is the size of the head without its checksum.
const imageHeadBytes = 8 + 4 + limitsBytes + 1 + imageHeadWords*8

// imageHeadWords is the number of counts in the head.
const imageHeadWords = 16

// Next appends the next part of the image to dst: about chunkBytesTarget, or one
// item, or nothing if that would take long to find. more is false when it was the
// last. The error is ErrAborted.
func (i *Image) Next(dst []byte) (out []byte, more bool, err error) {
	if i.aborted {
		return dst, false, ErrAborted
	}
	at := len(dst)
	switch {
	case i.head != nil:
		dst = append(dst, i.head...)
		i.head = nil
	case i.page < i.pages:
		dst = i.appendPage(dst)
	default:
		i.walked = 0
		dst = i.appendItems(dst)
	}
	if len(dst) == at && len(i.segments) == 0 {
		dst = append(dst, 0, 0, 0, 0)
		_, _ = i.digest.Write(dst[at:]) // never fails
		i.end()
		return binary.LittleEndian.AppendUint64(dst, i.digest.Sum64()), false, nil
	}
	_, _ = i.digest.Write(dst[at:])
	return dst, true, nil
}

// chunkHeadBytes are before the items of a chunk.
const chunkHeadBytes = 9

// beginChunk leaves room for the head of a chunk that endChunk fills in.
func beginChunk(dst []byte, kind byte) []byte {
	return append(dst, 0, 0, 0, 0, 0, 0, 0, 0, kind)
}

func endChunk(dst []byte, at int) []byte {
	body := dst[at+8:]
	binary.LittleEndian.PutUint32(dst[at:], uint32(len(body)))
	binary.LittleEndian.PutUint32(dst[at+4:], crc32.Checksum(body, castagnoli))
	return dst
}

// savePage keeps a part of the table of ghosts that is about to change.
func (i *Image) savePage(page int) {
	if page >= i.page && i.saved[page] == nil {
		i.saved[page] = append([]byte(nil), i.engine.ghosts.page(page)...)
	}
}

func (g *ghosts) page(n int) []byte {
	return g.mem[n*ghostPageBytes : min(g.size, (n+1)*ghostPageBytes)]
}

func (i *Image) appendPage(dst []byte) []byte {
	at := len(dst)
	page := i.saved[i.page]
	if page == nil {
		page = i.engine.ghosts.page(i.page)
	}
	dst = binary.LittleEndian.AppendUint32(beginChunk(dst, chunkGhost), uint32(i.page))
	dst = endChunk(append(dst, page...), at)
	delete(i.saved, i.page)
	i.page++
	return dst
}

// appendItems appends a chunk of items, if any are left.
func (i *Image) appendItems(dst []byte) []byte {
	at := len(dst)
	for len(i.segments) > 0 {
		seg := i.segments[0]
		if len(dst) == at {
			dst = beginChunk(dst, byte(1+seg.queue))
		}
		for seg.imageFrom < seg.imageTo {
			if len(dst)-at >= chunkBytesTarget || i.walked >= walkedBytesMax {
				return endItems(dst, at)
			}
			dst = i.visit(dst, seg)
		}
		i.leave(seg)
		if i.segments = i.segments[1:]; len(i.segments) > 0 && i.segments[0].queue != seg.queue {
			break
		}
	}
	if dst = endItems(dst, at); len(dst) == at && len(i.segments) > 0 { // the first queue has no items
		return i.appendItems(dst)
	}
	return dst
}

// endItems ends a chunk of items, or takes it back if it has none.
func endItems(dst []byte, at int) []byte {
	if len(dst) <= at+chunkHeadBytes {
		return dst[:at]
	}
	return endChunk(dst, at)
}

// visit appends the next record of a segment if it was alive when the image
// began.
func (i *Image) visit(dst []byte, seg *segment) []byte {
	r := i.store.arena.record(seg.at(seg.imageFrom))
	head := r.load()
	size := r.sizeBytes(head)
	seg.imageFrom += size
	i.walked += size
	freq := head & freqMask
	if head&frozenBit != 0 {
		freq = head >> frozenFreq & freqMask
		i.thaw(r, head, size)
	} else if head&deadBit != 0 {
		return dst
	}
	key, value, m := r.read(head)
	if m.expiryMs != 0 && slotEnd(m.level, m.expiryMs) <= i.timeMs {
		return dst // it had left the accounts
	}
	m.freq = freq
	return appendItem(dst, key, value, &m)
}

// leave lets a segment go that was kept for the image alone.
func (i *Image) leave(seg *segment) {
	seg.imaged, seg.imageFrom, seg.imageTo = false, 0, 0
	if seg.live == 0 && !seg.queued {
		i.store.release(seg)
	}
}

// appendItem appends what doc.go draws of an item.
func appendItem(dst, key, value []byte, m *meta) []byte {
	bits := byte(m.freq)<<itemFreq | m.level
	if m.marks != 0 {
		bits |= itemMarksBit
	}
	dst = append(dst, byte(len(key)), bits)
	if m.marks != 0 {
		dst = append(dst, byte(m.marks))
	}
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	dst = binary.AppendUvarint(dst, uint64(m.flags))
	dst = binary.AppendVarint(dst, m.expiryMs)
	dst = binary.AppendUvarint(dst, m.cas)
	dst = append(dst, key...)
	return append(dst, value...)
}

// Behind reports whether so much is kept for the image that Next should be
// called before anything else is applied.
func (i *Image) Behind() bool {
	return !i.aborted && !i.ended && i.store.kept > i.engine.limits.MemoryBytes>>keptShift
}

func (i *Image) end() {
	i.ended = true
	i.engine.image = nil
	i.engine.ghosts.changes = nil
	i.saved = nil
}

// abortImage ends the image that is being written, if any, because its store is
// replaced.
func (e *Engine) abortImage() {
	if e.image != nil {
		e.image.abort()
	}
}

func (i *Image) abort() {
	i.end()
	i.aborted, i.segments, i.store = true, nil, nil
}

// giveUp ends the image and lets go of what is kept for it.
func (i *Image) giveUp() {
	for _, seg := range i.segments {
		for seg.imageFrom < seg.imageTo {
			r := i.store.arena.record(seg.at(seg.imageFrom))
			head := r.load()
			size := r.sizeBytes(head)
			i.thaw(r, head, size)
			seg.imageFrom += size
		}
		i.leave(seg)
	}
	i.abort()
}

// thaw ends the keeping of a record as it was when the image began.
func (i *Image) thaw(r record, head uint32, size int) {
	if head&frozenBit == 0 {
		return
	}
	i.store.setBits(r, frozenBit|freqMask<<frozenFreq, 0)
	if head&deadBit != 0 {
		i.store.kept -= int64(size)
	}
}
