package engine

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"

	"raftcached/engine/store"
)

const (
	imageMagic   = "rcengine"
	imageVersion = 4

	// These are added to the version of an image whose head has a fill, a seed, or an offset, or
	// whose fill has one.
	imageFillBit, imageSeedBit, imageOffsetBit, imageFillOffsetBit = 1, 2, 4, 8
	imageVersionMax                                                = imageVersion + imageFillBit + imageSeedBit + imageOffsetBit + imageFillOffsetBit

	// chunkBytesTarget is the size at which a chunk ends. One item may make it
	// longer.
	chunkBytesTarget = 128 << 10

	// walkedBytesMax bounds the records that one part of an image visits: most may be
	// dead, or have expired.
	walkedBytesMax = 1 << 20

	// chunkBytesMax bounds a chunk that is read.
	chunkBytesMax = 32 << 20

	// keptShift: an image is behind when the records that are kept for it take an
	// eighth of the memory limit.
	keptShift = 3

	chunkSmall = 1 + store.QueueSmall // items of the small queue
	chunkMain  = 1 + store.QueueMain  // items of the main queue
	chunkGhost = 3                    // a part of the table of ghosts

	// The second byte of an item.
	itemFreq      = 6 // shift
	itemMarksBit  = 1 << 5
	itemLevelMask = itemMarksBit - 1
)

// ErrAborted tells that an image cannot be finished: the state that it is of was
// replaced by a flush_all or by another image, or the memory that was kept for it
// was needed.
var ErrAborted = errors.New("image aborted")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Image is the state at one moment, written part by part while the engine goes on.
// Only the applier may use it.
//
// The items come from a store.Walk. Parts of the table of ghosts are copied before
// they change.
type Image struct {
	engine  *Engine
	head    []byte // nil once written
	walk    *store.Walk
	pages   int // of the ghosts
	page    int // next one to be written
	saved   map[int][]byte
	walked  int            // bytes of records that the last part of items visited
	digest  *xxhash.Digest // of everything written
	ended   bool
	aborted bool
}

// Image begins an image of the state as it is now. There may be one at a time:
// it goes on until Next has returned everything.
func (e *Engine) Image() *Image {
	if e.image != nil {
		panic("engine: an image is being written already")
	}
	i := &Image{
		engine: e, head: e.appendImageHead(nil), walk: e.st.NewWalk(),
		saved: make(map[int][]byte), digest: xxhash.New(),
	}
	if e.ghosts.mem != nil {
		i.pages = (e.ghosts.size + ghostPageBytes - 1) / ghostPageBytes
		e.ghosts.changes = i.savePage
	}
	e.image = i
	return i
}

// The numbers in the head of an image. Each is a word of 8 bytes.
const (
	wordFormedBytes = iota
	wordTimeMs
	wordMutations
	wordPendingFlush
	wordTotalItems
	wordEvictions
	wordExpired
	wordEvents
	wordItems
	wordBytesSmall
	wordBytesMain
	wordSum
	wordGhostsMade
	wordGhostsSum
	wordEvictedUnfetched
	wordExpiredUnfetched
	imageHeadWords
)

// countWords are the words of Counts.fields.
var countWords = [countsCount]int{wordTotalItems, wordEvictions, wordExpired, wordEvictedUnfetched, wordExpiredUnfetched}

// appendImageHead appends the head of an image, with its checksum.
func (e *Engine) appendImageHead(b []byte) []byte {
	b = append(b, imageMagic...)
	b = binary.LittleEndian.AppendUint32(b, e.imageVersion())
	b = appendLimits(b, e.limits)
	b = append(b, byte(btoi(e.formed.Load())))
	words := [imageHeadWords]uint64{
		wordFormedBytes: uint64(e.formedBytes), wordTimeMs: uint64(e.st.NowMs()), wordMutations: e.mutations,
		wordPendingFlush: uint64(e.pendingFlush), wordEvents: e.events, wordItems: uint64(e.st.Count()),
		wordBytesSmall: uint64(e.st.Bytes(store.QueueSmall)), wordBytesMain: uint64(e.st.Bytes(store.QueueMain)),
		wordSum: e.st.Sum(), wordGhostsMade: e.ghosts.made, wordGhostsSum: e.ghosts.sum,
	}
	for i, n := range e.counts.fields() {
		words[countWords[i]] = uint64(*n)
	}
	for _, w := range words {
		b = binary.LittleEndian.AppendUint64(b, w)
	}
	if seed := e.st.Seed(); seed != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(seed))
	}
	if e.fill.id != 0 {
		b = e.fill.append(b)
	}
	if ms := e.OffsetMs(); ms != 0 {
		b = binary.LittleEndian.AppendUint64(b, uint64(ms))
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// imageVersion is the version of an image of the state.
func (e *Engine) imageVersion() uint32 {
	v := uint32(imageVersion)
	if e.fill.id != 0 {
		v += imageFillBit
	}
	if e.fill.id != 0 && e.fill.plan.OffsetMs != 0 {
		v += imageFillOffsetBit
	}
	if e.st.Seed() != 0 {
		v += imageSeedBit
	}
	if e.OffsetMs() != 0 {
		v += imageOffsetBit
	}
	return v
}

// imageHeadBytes is the size of the head without a seed, a fill, an offset and its checksum.
const imageHeadBytes = imageStartBytes + limitsBytes + 1 + imageHeadWords*8

// imageStartBytes is what every version begins with.
const imageStartBytes = 8 + 4

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
		dst = i.appendItems(dst)
	}
	if len(dst) == at && !i.walk.More() {
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

// appendItems appends a chunk of items of one queue, if any are left.
func (i *Image) appendItems(dst []byte) []byte {
	i.walked = 0
	at, queue := len(dst), -1
	for i.walk.More() {
		if q := i.walk.Queue(); q != queue {
			if len(dst) > at+chunkHeadBytes { // items of the other queue
				break
			}
			queue = q
			dst = beginChunk(dst[:at], byte(chunkSmall+q))
		}
		if len(dst)-at >= chunkBytesTarget || i.walked >= walkedBytesMax {
			break
		}
		key, value, m, size, ok := i.walk.Next()
		i.walked += size
		if ok {
			dst = appendItem(dst, key, value, &m)
		}
	}
	return endItems(dst, at)
}

// endItems ends a chunk of items, or takes it back if it has none.
func endItems(dst []byte, at int) []byte {
	if len(dst) <= at+chunkHeadBytes {
		return dst[:at]
	}
	return endChunk(dst, at)
}

// appendItem appends what doc.go draws of an item.
func appendItem(dst, key, value []byte, m *store.Meta) []byte {
	bits := byte(m.Freq)<<itemFreq | m.Level
	if m.Marks != 0 {
		bits |= itemMarksBit
	}
	dst = append(dst, byte(len(key)), bits)
	if m.Marks != 0 {
		dst = append(dst, byte(m.Marks))
	}
	dst = binary.AppendUvarint(dst, uint64(len(value)))
	dst = binary.AppendUvarint(dst, uint64(m.Flags))
	dst = binary.AppendVarint(dst, m.ExpiryMs)
	dst = binary.AppendUvarint(dst, m.CAS)
	dst = append(dst, key...)
	return append(dst, value...)
}

// Behind reports whether so much is kept for the image that Next should be
// called before anything else is applied.
func (i *Image) Behind() bool {
	return !i.aborted && !i.ended && i.engine.st.KeptBytes() > i.engine.limits.MemoryBytes>>keptShift
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
	i.aborted, i.walk = true, nil
}

// giveUp ends the image before it is complete, so that nothing is kept for it.
func (i *Image) giveUp() {
	i.walk.Close()
	i.abort()
}
