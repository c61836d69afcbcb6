package engine

import (
	"encoding/binary"
	"fmt"

	"raftcached/engine/store"
	"raftcached/internal/item"

	"github.com/cespare/xxhash/v2"
)

// A fill puts the items of another cluster's image into an empty cache, by operations
// of the log: OpFillBegin with the plan, OpFillItems for each chunk of items in the
// image's order, OpFillEnd. In between readers find nothing and clients' operations
// are refused, so that the items appear all at once, after they were counted and
// compared with the plan. What was interrupted goes on where it stopped: each
// operation may come again. OpFillAbandon makes the cache empty again.
//
// OpFillBegin and OpFillItems answer with StatusNumber: how many chunks there are by
// now. Items that have expired meanwhile count, but are not stored.

const (
	planVersion = 1
	planWords   = 9
	planBytes   = 1 + 8*planWords

	// planVersionOffset is that of a plan with an offset, a word more.
	planVersionOffset = 2

	// planTimeMax bounds the time of a plan: records have 7 bytes for one.
	planTimeMax = 1 << 50
)

// FillPlan says what a fill will bring. It is of one image.
type FillPlan struct {
	TimeMs    int64  // of the image; the cache's time will not be before it
	OffsetMs  int64  // of that time: Engine.OffsetMs
	Mutations uint64 // cas uniques that follow are higher
	Chunks    uint64
	Items     int64
	Bytes     int64  // that the items are charged
	Sum       uint64 // of the items' digests
	Digest    uint64 // of the image's chunks

	ItemBytesMax int64 // the largest item, as memcached counts it
	ChargeMax    int64 // the largest charge
}

func (p *FillPlan) words() [planWords]uint64 {
	return [...]uint64{
		uint64(p.TimeMs), p.Mutations, p.Chunks, uint64(p.Items), uint64(p.Bytes), p.Sum, p.Digest, uint64(p.ItemBytesMax), uint64(p.ChargeMax),
	}
}

// Append appends the encoding of the plan to dst: version 1, words of 8 bytes; or version 2,
// with one more, the offset, if that is not 0.
func (p *FillPlan) Append(dst []byte) []byte {
	dst = append(dst, planVersion)
	if p.OffsetMs != 0 {
		dst[len(dst)-1] = planVersionOffset
	}
	for _, w := range p.words() {
		dst = binary.LittleEndian.AppendUint64(dst, w)
	}
	if p.OffsetMs != 0 {
		dst = binary.LittleEndian.AppendUint64(dst, uint64(p.OffsetMs))
	}
	return dst
}

// ID names the fill. It is never 0.
func (p *FillPlan) ID() uint64 { return max(1, xxhash.Sum64(p.Append(nil))) }

// ReadFillPlan decodes a plan.
func ReadFillPlan(b []byte) (p FillPlan, err error) {
	shifted := len(b) == planBytes+offsetBytes && b[0] == planVersionOffset
	if !shifted && (len(b) != planBytes || b[0] != planVersion) {
		return p, fmt.Errorf("plan of %d bytes: %w", len(b), ErrMalformed)
	}
	var w [planWords]uint64
	for i := range w {
		w[i] = binary.LittleEndian.Uint64(b[1+8*i:])
	}
	p = FillPlan{
		TimeMs: int64(w[0]), Mutations: w[1], Chunks: w[2], Items: int64(w[3]), Bytes: int64(w[4]), Sum: w[5], Digest: w[6],
		ItemBytesMax: int64(w[7]), ChargeMax: int64(w[8]),
	}
	if shifted {
		p.OffsetMs = int64(binary.LittleEndian.Uint64(b[planBytes:]))
	}
	if shifted && !validOffset(p.OffsetMs) || p.TimeMs < 0 || p.TimeMs > planTimeMax || p.Items < 0 || p.Bytes < 0 || p.ItemBytesMax < 0 || p.ChargeMax < 0 {
		return p, fmt.Errorf("plan %+v: %w", p, ErrMalformed)
	}
	return p, nil
}

// fill is how far a fill has come: a part of the replicated state.
type fill struct {
	id    uint64 // 0: there was none
	going bool   // begun, and neither ended nor abandoned
	plan  FillPlan
	next  uint64 // chunk
	items int64  // of the chunks so far
	sum   uint64
}

// fillBytes is the size of an encoded fill: going 1 | next 8 | items 8 | sum 8 | plan. With a
// plan that has an offset it is offsetBytes more.
const fillBytes = 1 + 3*8 + planBytes

func (f *fill) append(dst []byte) []byte {
	dst = append(dst, byte(btoi(f.going)))
	dst = binary.LittleEndian.AppendUint64(dst, f.next)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(f.items))
	dst = binary.LittleEndian.AppendUint64(dst, f.sum)
	return f.plan.Append(dst)
}

func readFill(b []byte) (f fill, err error) {
	if len(b) < fillBytes || b[0] > 1 {
		return f, fmt.Errorf("fill of %d bytes: %w", len(b), ErrMalformed)
	}
	f = fill{
		going: b[0] == 1, next: binary.LittleEndian.Uint64(b[1:]),
		items: int64(binary.LittleEndian.Uint64(b[9:])), sum: binary.LittleEndian.Uint64(b[17:]),
	}
	if f.plan, err = ReadFillPlan(b[25:]); err == nil {
		f.id = f.plan.ID()
	}
	return f, err
}

// Filling reports whether a fill has begun and neither ended nor been abandoned. Any
// goroutine may call it.
func (e *Engine) Filling() bool { return e.hides.Load()&1 == 1 }

// hide makes readers find nothing, or find the items again: hides is odd while they
// find nothing, and changes each time, so that a reader notices both ends.
func (e *Engine) hide(hidden bool) {
	if e.Filling() != hidden {
		e.hides.Add(1)
	}
}

// fillStep does the operations of a fill.
func (e *Engine) fillStep(op *Op) item.Result {
	switch op.Kind {
	case OpFillBegin:
		return e.beginFill(op)
	case OpFillItems:
		return e.fillItems(op)
	case OpFillEnd:
		return item.Result{Status: e.endFill(op)}
	default: // OpFillAbandon
		if !e.fill.going {
			return item.Result{Status: item.StatusNotFound}
		}
		e.clear()
		e.fill = fill{}
		e.hide(false)
		return item.Result{Status: item.StatusOK}
	}
}

func (e *Engine) filled() item.Result {
	return item.Result{Status: item.StatusNumber, Number: e.fill.next}
}

// beginFill begins a fill, or tells how far it is. It is refused with StatusExists if
// something was stored here, StatusFilling while another one is not finished,
// StatusOutOfMemory or StatusTooLarge if the items do not fit.
func (e *Engine) beginFill(op *Op) item.Result {
	p, err := ReadFillPlan(op.Value)
	switch {
	case err != nil:
		return item.Result{Status: item.StatusNotStored}
	case e.fill.id == p.ID():
		return e.filled()
	case e.fill.going:
		return item.Result{Status: item.StatusFilling}
	case e.counts.TotalItems > 0 || e.st.Linked() > 0 || e.pendingFlush != 0:
		return item.Result{Status: item.StatusExists}
	case p.Bytes > e.limits.MemoryBytes:
		return item.Result{Status: item.StatusOutOfMemory}
	case p.ItemBytesMax > int64(e.limits.ItemBytesMax) || p.ChargeMax > e.limits.MemoryBytes/2:
		return item.Result{Status: item.StatusTooLarge}
	}
	e.hide(true)
	e.fill = fill{id: p.ID(), going: true, plan: p}
	if at := p.TimeMs + e.fillShift(); at > e.st.NowMs() && at <= planTimeMax {
		e.st.SetNowMs(at)
	}
	return e.filled()
}

// fillItems takes chunk number op.Delta of the fill op.CAS: kind 1 | items, as in an
// image. One that was taken before has no effect; one that is not the next is
// refused, and so is one that is no such chunk.
func (e *Engine) fillItems(op *Op) item.Result {
	switch {
	case e.fill.id != op.CAS || !e.fill.going || op.Delta > e.fill.next:
		return item.Result{Status: item.StatusNotFound}
	case op.Delta < e.fill.next:
		return e.filled()
	}
	chunk := imageChunk{seed: e.st.Seed()}
	if !chunk.take(op.Value) || chunk.kind == chunkGhost || chunk.parse() != nil {
		return item.Result{Status: item.StatusNotStored}
	}
	for i := range chunk.items {
		if s := e.fillItem(int(chunk.kind-chunkSmall), &chunk.items[i]); s != item.StatusStored {
			return item.Result{Status: s}
		}
	}
	e.note(eventFill, xxhash.Sum64(op.Value))
	e.fill.next++
	return e.filled()
}

// fillShift is how much later something is by the engine's time than by that of the image
// that is filled in: both are ahead of the same wall clocks.
func (e *Engine) fillShift() int64 { return e.OffsetMs() - e.fill.plan.OffsetMs }

// fillItem stores an item at the end of a queue, unless it has expired. The rest of a
// chunk with an item that cannot be is not stored either: the fill can only be
// abandoned then.
func (e *Engine) fillItem(q int, it *imageItem) item.Status {
	now := e.st.NowMs()
	m := it.meta
	if shift := e.fillShift(); shift != 0 && m.ExpiryMs != 0 {
		m.ExpiryMs = max(1, m.ExpiryMs+shift)
		m.Level = store.LevelFor(now, m.ExpiryMs)
	}
	expired := m.ExpiryMs != 0 && store.SlotEnd(m.Level, m.ExpiryMs) <= now
	if !expired {
		charge := store.ChargeFor(&m, len(it.key), len(it.value))
		p := e.st.FindHashed(it.hash, it.key)
		if p.Exists() || !m.ValidExpiry(now) || charge > e.limits.MemoryBytes/2 || e.st.Total()+charge > e.limits.MemoryBytes {
			return item.StatusNotStored
		}
		e.st.Add(q, &p, &m, it.key, it.value, nil)
		e.stored += charge
	}
	e.fill.items++
	e.fill.sum += store.Digest(it.key, it.value, &it.meta)
	return item.StatusStored
}

// endFill shows the items to clients, if they are those of the plan.
func (e *Engine) endFill(op *Op) item.Status {
	f := &e.fill
	switch {
	case f.id != op.CAS:
		return item.StatusNotFound
	case !f.going: // it has ended before
		return item.StatusOK
	case f.next != f.plan.Chunks || f.items != f.plan.Items || f.sum != f.plan.Sum:
		return item.StatusNotStored
	}
	f.going = false
	e.mutations = max(e.mutations, f.plan.Mutations)
	e.counts.TotalItems += f.items
	e.hide(false)
	return item.StatusOK
}
