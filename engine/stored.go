package engine

import (
	"fmt"
	"io"

	"github.com/cespare/xxhash/v2"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// ImageHead is what an image says of its contents before they come.
type ImageHead struct {
	Format       int
	TimeMs       int64 // of the state
	OffsetMs     int64 // of that time: Engine.OffsetMs
	MemoryBytes  int64 // limit
	ItemBytesMax int
	Items        int64
	Bytes        int64  // that the items are charged
	Sum          uint64 // of the items' digests, in which their order does not matter
	Mutations    uint64
	Filling      bool // of a state that a fill was not finished in
}

// StoredImage reads an image without an engine, checks it as Restore does, and gathers
// the plan of a fill. One goroutine may use it.
type StoredImage struct {
	in    imageReader
	head  ImageHead
	chunk imageChunk
	small int64 // bytes, as the head says
	bytes [store.QueueCount]int64
	plan  FillPlan
	all   *xxhash.Digest // of the chunks of items
}

// StoredItem is an item of an image. Its slices are valid until the next chunk is read.
type StoredItem struct {
	Key, Value []byte
	Flags      uint32
	CAS        uint64
	ExpiryMs   int64 // ms of Unix time, by wall clocks; 0: never
	Main       bool  // it is in the main queue
}

// OpenImage reads the head of an image. An error that is ErrMalformed says that it is
// none; others are those of r.
func OpenImage(r io.Reader) (*StoredImage, error) {
	i := &StoredImage{in: imageReader{r: r, digest: xxhash.New()}, all: xxhash.New()}
	h, err := readHead(&i.in)
	if err != nil {
		return nil, fmt.Errorf("read image: %w", err)
	}
	small, main := int64(h.words[wordBytesSmall]), int64(h.words[wordBytesMain])
	i.small = small
	i.head = ImageHead{
		Format: int(h.version), TimeMs: int64(h.words[wordTimeMs]), OffsetMs: h.offset, MemoryBytes: h.limits.MemoryBytes, ItemBytesMax: h.limits.ItemBytesMax,
		Items: int64(h.words[wordItems]), Bytes: small + main, Sum: h.words[wordSum], Mutations: h.words[wordMutations], Filling: h.fill.going,
	}
	i.plan = FillPlan{TimeMs: i.head.TimeMs, OffsetMs: i.head.OffsetMs, Mutations: i.head.Mutations}
	return i, nil
}

// Head returns the image's head.
func (i *StoredImage) Head() ImageHead { return i.head }

// Next reads the next chunk of items and returns it as OpFillItems takes it, valid
// until the next call. io.EOF says that the image was whole.
func (i *StoredImage) Next() ([]byte, error) {
	for {
		switch err := i.chunk.read(&i.in, i.head.TimeMs); {
		case err != nil:
			return nil, fmt.Errorf("read image: %w", err)
		case i.chunk.kind == 0:
			return nil, i.end()
		case i.chunk.kind != chunkGhost:
			i.count()
			return i.chunk.buf, nil
		}
	}
}

func (i *StoredImage) count() {
	_, _ = i.all.Write(i.chunk.buf) // never fails
	i.plan.Chunks++
	for n := range i.chunk.items {
		it := &i.chunk.items[n]
		charge := store.ChargeFor(&it.meta, len(it.key), len(it.value))
		i.plan.Items++
		i.bytes[i.chunk.kind-chunkSmall] += charge
		i.plan.Sum += store.Digest(it.key, it.value, &it.meta)
		i.plan.ItemBytesMax = max(i.plan.ItemBytesMax, int64(item.SizeBytes(len(it.key), it.meta.Flags, len(it.value))))
		i.plan.ChargeMax = max(i.plan.ChargeMax, charge)
	}
}

// end compares what has come with the head.
func (i *StoredImage) end() error {
	i.plan.Bytes = i.bytes[store.QueueSmall] + i.bytes[store.QueueMain]
	i.plan.Digest = i.all.Sum64()
	p, h := &i.plan, &i.head
	if p.Items != h.Items || p.Bytes != h.Bytes || p.Sum != h.Sum || i.bytes[store.QueueSmall] != i.small {
		return fmt.Errorf("image holds %d items of %d bytes with digest %016x, its head says %d, %d, %016x: %w",
			p.Items, p.Bytes, p.Sum, h.Items, h.Bytes, h.Sum, ErrMalformed)
	}
	return io.EOF
}

// Items calls f with the items of the chunk that Next has returned, until f returns
// false.
func (i *StoredImage) Items(f func(*StoredItem) bool) {
	for n := range i.chunk.items {
		it := &i.chunk.items[n]
		stored := StoredItem{
			Key: it.key, Value: it.value, Flags: it.meta.Flags, CAS: it.meta.CAS, ExpiryMs: it.meta.ExpiryMs, Main: i.chunk.kind == chunkMain,
		}
		if stored.ExpiryMs != 0 {
			stored.ExpiryMs = max(1, stored.ExpiryMs-i.head.OffsetMs)
		}
		if !f(&stored) {
			return
		}
	}
}

// Plan returns the plan of a fill with the items. It is complete when Next has returned
// io.EOF.
func (i *StoredImage) Plan() FillPlan { return i.plan }

// Count returns how many items have been read.
func (i *StoredImage) Count() int64 { return i.plan.Items }
