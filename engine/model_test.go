package engine

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"testing"

	"pgregory.net/rapid"
)

// model is the cache as one would write it without a thought for speed or
// memory: slices of items in the order of the queues. It shares with the engine
// what an item is charged and the table of ghosts.
type model struct {
	limit     int64
	noEvict   bool
	now       int64
	flush     int64
	mutations uint64
	queues    [queueCount][]*modelItem
	ghosts    ghosts
	mayMove   int64
	evictions int64
	unfetched unfetched
}

type modelItem struct {
	key, value string
	meta
	charge int64
}

func newModel(l Limits) *model {
	return &model{limit: l.MemoryBytes, noEvict: l.NoEvict, ghosts: newGhosts(l.MemoryBytes)}
}

func (m *model) advance(now int64) {
	m.now = max(m.now, now)
	hinting := m.total() >= m.limit/hintDenominator*hintNumerator && !m.noEvict
	for q := range m.queues {
		m.queues[q] = slices.DeleteFunc(m.queues[q], func(i *modelItem) bool {
			if i.expiryMs == 0 || slotEnd(i.level, i.expiryMs) > m.now {
				return false
			}
			if hinting && q == queueSmall && i.freq == 0 {
				m.unfetched.expired++
			}
			return true
		})
	}
	if m.flush != 0 && m.flush <= m.now {
		m.flush, m.queues = 0, [queueCount][]*modelItem{}
	}
	m.mayMove = shrinkMovedBytes
	for m.total() > m.limit {
		m.evict(nil)
	}
}

func (m *model) total() (n int64) { return m.size(queueSmall) + m.size(queueMain) }

func (m *model) size(q int) (n int64) {
	for _, i := range m.queues[q] {
		n += i.charge
	}
	return n
}

func (m *model) alive(i *modelItem) bool { return i.expiryMs == 0 || i.expiryMs > m.now }

func (m *model) find(key string) (it *modelItem, q int) {
	for q := range m.queues {
		for _, i := range m.queues[q] {
			if i.key == key {
				return i, q
			}
		}
	}
	return nil, 0
}

func (m *model) visible(key string) (*modelItem, int) {
	if it, q := m.find(key); it != nil && m.alive(it) {
		return it, q
	}
	return nil, 0
}

func (m *model) remove(it *modelItem) {
	for q := range m.queues {
		m.queues[q] = slices.DeleteFunc(m.queues[q], func(i *modelItem) bool { return i == it })
	}
}

// put stores it; expiryMs, flags, cas, key and value are set.
func (m *model) put(it *modelItem) {
	old, q := m.find(it.key)
	if it.expiryMs != 0 && it.expiryMs <= m.now {
		m.remove(old)
		return
	}
	it.level = 0
	if it.expiryMs != 0 {
		it.level = levelFor(m.now, it.expiryMs)
	}
	it.freq = 0
	to := queueMain
	switch {
	case old == nil || !m.alive(old):
		if hash := hashKey([]byte(it.key)); !m.ghosts.take(hash, uint64(len(m.queues[0])+len(m.queues[1]))) {
			to = queueSmall
		}
	case q == queueMain:
		it.freq = min(freqMax, old.freq+1)
	}
	it.charge = chargeOf(roundUp(shapeOf(headFor(&it.meta, len(it.key), len(it.value)), len(it.value)).end))
	m.remove(old)
	m.queues[to] = append(m.queues[to], it)
	m.mayMove = movedBytesMin + movedPerByte*it.charge
	for m.total() > m.limit {
		m.evict(it)
	}
}

// evict is S3-FIFO as the paper has it, but that keep stays.
func (m *model) evict(keep *modelItem) {
	other := func(it *modelItem) bool { return it != keep }
	for promoted := 0; ; promoted++ {
		small := slices.IndexFunc(m.queues[queueSmall], other) // 0 or -1: keep is the last
		main := slices.ContainsFunc(m.queues[queueMain], other)
		if small >= 0 && (!main || m.size(queueSmall) > m.limit/smallShare && promoted < promotionsMax && m.mayMove > 0) {
			it := m.queues[queueSmall][0]
			m.queues[queueSmall] = m.queues[queueSmall][1:]
			if m.alive(it) && it.freq >= promoteFreq {
				it.freq = 0
				m.toMain(it)
				continue
			}
			if m.alive(it) {
				m.ghosts.add(hashKey([]byte(it.key)))
				m.evictions++
				m.unfetched.evicted++ // it would have been promoted
			}
			return
		}
		for n := 0; ; n++ {
			it := m.queues[queueMain][0]
			m.queues[queueMain] = m.queues[queueMain][1:]
			if m.alive(it) && (it == keep || it.freq > 0 && n < secondChancesMax && m.mayMove > 0) {
				it.freq = max(it.freq, 1) - 1
				m.toMain(it)
				continue
			}
			if m.alive(it) {
				m.evictions++
			}
			return
		}
	}
}

func (m *model) toMain(it *modelItem) {
	m.mayMove -= it.charge
	m.queues[queueMain] = append(m.queues[queueMain], it)
}

func (m *model) expiry(exptime int64) int64 {
	switch {
	case exptime == 0:
		return 0
	case exptime < 0:
		return max(1, m.now)
	default:
		return m.now + exptime*1000
	}
}

// apply does op and returns the status and the number or value of the result.
func (m *model) apply(op *Op) (Status, string) {
	old, _ := m.visible(string(op.Key))
	it := &modelItem{key: string(op.Key), value: string(op.Value)}
	it.flags, it.expiryMs = op.Flags, m.expiry(op.Exptime)
	store := func() Status {
		charge := chargeOf(roundUp(shapeOf(headFor(&it.meta, len(it.key), len(it.value)), len(it.value)).end))
		if m.noEvict {
			freed := int64(0)
			if o, _ := m.find(it.key); o != nil {
				freed = o.charge
			}
			if m.total()+charge-freed > m.limit {
				return StatusOutOfMemory
			}
		}
		m.mutations++
		it.cas = m.mutations
		m.put(it)
		return StatusStored
	}
	switch op.Kind {
	case OpSet:
		s := store()
		if s != StatusStored {
			o, _ := m.find(it.key)
			m.remove(o)
		}
		return s, ""
	case OpAdd, OpReplace:
		if (op.Kind == OpAdd) == (old != nil) {
			return StatusNotStored, ""
		}
		return store(), ""
	case OpCAS:
		if old == nil {
			return StatusNotFound, ""
		}
		if old.cas != op.CAS {
			return StatusExists, ""
		}
		return store(), ""
	case OpAppend, OpPrepend:
		if old == nil {
			return StatusNotStored, ""
		}
		it.flags, it.expiryMs = old.flags, old.expiryMs
		if it.value = old.value + it.value; op.Kind == OpPrepend {
			it.value = string(op.Value) + old.value
		}
		if store() != StatusStored {
			return StatusNotStored, ""
		}
		return StatusStored, ""
	case OpIncr:
		if old == nil {
			return StatusNotFound, ""
		}
		n, ok := parseNumber([]byte(old.value))
		if !ok {
			return StatusNonNumeric, ""
		}
		it.value = fmt.Sprintf("%-*d", len(old.value), n+op.Delta)
		it.flags, it.expiryMs = old.flags, old.expiryMs
		return map[bool]Status{true: StatusNumber, false: StatusOutOfMemory}[store() == StatusStored], fmt.Sprint(n + op.Delta)
	case OpTouch, OpGat:
		status := map[OpKind][2]Status{OpTouch: {StatusNotFound, StatusTouched}, OpGat: {StatusMiss, StatusHit}}[op.Kind]
		if old == nil {
			return status[0], ""
		}
		m.mutations++
		again := *old
		again.expiryMs = it.expiryMs
		m.put(&again)
		return status[1], old.value
	case OpDelete:
		if old == nil {
			return StatusNotFound, ""
		}
		m.mutations++
		m.remove(old)
		return StatusDeleted, ""
	default: // OpFlushAll
		m.mutations++
		m.flush = 0
		if op.Exptime > 0 {
			m.flush = m.expiry(op.Exptime)
		} else {
			m.queues = [queueCount][]*modelItem{}
		}
		return StatusOK, ""
	}
}

func (m *model) hint(hashes []byte) {
	for ; len(hashes) > 0; hashes = hashes[hashBytes:] {
		for q := range m.queues {
			for _, i := range m.queues[q] {
				if hashKey([]byte(i.key)) == binary.LittleEndian.Uint64(hashes) && m.alive(i) {
					i.freq = min(freqMax, i.freq+1)
				}
			}
		}
	}
}

var modelKinds = []OpKind{
	OpSet, OpSet, OpSet, OpSet, OpAdd, OpAdd, OpReplace, OpAppend, OpPrepend, OpCAS, OpIncr, OpTouch, OpGat, OpDelete, OpFlushAll,
}

func drawOp(t *rapid.T, keys int, limit int64) Op {
	op := Op{
		Kind:    rapid.SampledFrom(modelKinds).Draw(t, "kind"),
		Key:     fmt.Appendf(nil, "key%d", rapid.IntRange(0, keys-1).Draw(t, "key")),
		Value:   []byte(strconv.Itoa(rapid.IntRange(0, 1000).Draw(t, "value"))),
		Flags:   rapid.SampledFrom([]uint32{0, 0, 1, 1 << 31}).Draw(t, "flags"),
		Exptime: rapid.SampledFrom([]int64{0, 0, 0, 1, 5, 100, -1}).Draw(t, "exptime"),
		CAS:     rapid.Uint64Range(1, 40).Draw(t, "cas"),
		Delta:   rapid.Uint64Range(0, 100).Draw(t, "delta"),
	}
	if n := rapid.IntRange(0, 400).Draw(t, "pad"); n > 200 && op.Kind != OpIncr {
		op.Value = bytes.Repeat([]byte("x"), n*40) // some beyond smallValueMax
		if n > 370 {
			op.Value = bytes.Repeat([]byte("y"), max(0, int(limit/2)-(n-370)*20-300)) // almost half of the memory
		}
	}
	if op.Kind == OpFlushAll {
		op.Key = nil
	}
	return op
}

// twins are engines that apply the same log with different layouts of memory,
// reads and restarts.
type twins struct {
	engines []*Engine
	readers []*Reader
	images  []*Image
	bytes   [][]byte // of the images
	limits  Limits
}

func newTwins(t *rapid.T, l Limits) *twins {
	tw := &twins{limits: l}
	for i := range 3 {
		e, err := New(l)
		if err != nil {
			t.Fatalf("new engine: %v", err)
		}
		// The first never compacts, the others do all the time.
		e.layout = layout{[]int{64 << 10, 32 << 10, 16 << 10}[i], []int64{1 << 40, 0, 0}[i]}
		e.st.layout = e.layout
		tw.engines = append(tw.engines, e)
		tw.readers = append(tw.readers, e.NewReader())
	}
	tw.images, tw.bytes = make([]*Image, 3), make([][]byte, 3)
	return tw
}

func (tw *twins) close() {
	for _, e := range tw.engines {
		e.Close()
	}
}

// restart begins an image, goes on with it, or restores it, in a new engine.
func (tw *twins) restart(t *rapid.T, i int) {
	e := tw.engines[i]
	if tw.images[i] == nil {
		tw.images[i], tw.bytes[i] = e.Image(), nil
	}
	b, more, err := tw.images[i].Next(tw.bytes[i])
	tw.bytes[i] = b
	if err == nil && more {
		return
	}
	tw.images[i] = nil
	if err != nil {
		return // a flush
	}
	if err := readable(tw.limits, b); err != nil {
		t.Fatalf("image of another moment: %v", err)
	}
	// This one is of the present.
	now := e.Image()
	b = nil
	for more := true; more; {
		if b, more, err = now.Next(b); err != nil {
			t.Fatalf("image: %v", err)
		}
	}
	fresh, err := New(tw.limits)
	if err != nil {
		t.Fatalf("new engine: %v", err)
	}
	if err := fresh.Restore(bytes.NewReader(b)); err != nil {
		t.Fatalf("restore: %v", err)
	}
	fresh.layout, fresh.st.layout = e.layout, e.layout
	e.Close()
	tw.engines[i], tw.readers[i] = fresh, fresh.NewReader()
}

// readable restores an image, which compares its items with its digest.
func readable(l Limits, image []byte) error {
	e, err := New(l)
	if err != nil {
		return err
	}
	defer e.Close()
	return e.Restore(bytes.NewReader(image))
}

// TestModel applies random entries to the model and to engines of different
// layout, which are read from differently and restart at different moments: all
// give the model's results and hold its items in its order, and the engines'
// digests are equal after every entry.
func TestModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		limits := Limits{MemoryBytes: rapid.SampledFrom([]int64{4 << 10, 64 << 10, 256 << 10}).Draw(t, "memory"), ItemBytesMax: 1 << 20}
		limits.NoEvict = rapid.IntRange(0, 9).Draw(t, "no evict") == 0
		keys := rapid.SampledFrom([]int{5, 40, 400}).Draw(t, "keys")
		tw := newTwins(t, limits)
		defer func() { tw.close() }()
		m := newModel(limits)
		defer m.ghosts.close()
		now := int64(testStart)
		for range rapid.IntRange(1, 150).Draw(t, "entries") {
			now += rapid.SampledFrom([]int64{0, 1, 999, 3000}).Draw(t, "passed")
			m.advance(now)
			hints := tw.advance(t, now, keys)
			m.hint(hints)
			op := drawOp(t, keys, limits.MemoryBytes)
			if m.tooLarge(&op) {
				continue
			}
			if old, _ := m.visible(string(op.Key)); old != nil && op.CAS > 20 {
				op.CAS = old.cas
			}
			status, value := m.apply(&op)
			for i, e := range tw.engines {
				out, err := e.Apply(1, AppendOp(nil, &op), nil, true)
				if err != nil {
					t.Fatalf("apply: %v", err)
				}
				got, _, err := DecodeResult(out)
				if err != nil || got.Status != status || status == StatusHit && string(got.Value) != value ||
					status == StatusNumber && strconv.FormatUint(got.Number, 10) != value {
					t.Fatalf("engine %d: %+v: %+v, want %d %q", i, op, got, status, value)
				}
			}
			tw.compare(t, m)
		}
	})
}

// tooLarge reports whether the operation may make an item beyond its limit, which
// the model does not know.
func (m *model) tooLarge(op *Op) bool {
	n := len(op.Value) + 300
	if old, _ := m.visible(string(op.Key)); old != nil && (op.Kind == OpAppend || op.Kind == OpPrepend) {
		n += len(old.value)
	}
	return int64(n) > m.limit/2
}

// advance begins an entry: some engines are read from, their hints go to all.
func (tw *twins) advance(t *rapid.T, now int64, keys int) (hints []byte) {
	for i, r := range tw.readers {
		for range rapid.IntRange(0, 3).Draw(t, "reads") {
			r.View(nil, fmt.Appendf(nil, "key%d", rapid.IntRange(0, keys-1).Draw(t, "read")), appendItemValue)
		}
		hints = r.TakeHints(hints)
		if rapid.IntRange(0, 3).Draw(t, "restart") == 0 {
			tw.restart(t, i)
		}
	}
	for _, e := range tw.engines {
		e.Advance(now)
		e.Hint(hints)
	}
	return hints
}

func (tw *twins) compare(t *rapid.T, m *model) {
	contents, order := tw.engines[0].Digest()
	for i, e := range tw.engines {
		check(t, e)
		if c, o := e.Digest(); c != contents || o != order {
			t.Fatalf("engine %d has digests %x %x, the first %x %x", i, c, o, contents, order)
		}
		if e.evictions != m.evictions {
			t.Fatalf("engine %d has evicted %d items, the model %d", i, e.evictions, m.evictions)
		}
		if e.unfetched != m.unfetched {
			t.Fatalf("engine %d let go without a read %+v, the model %+v", i, e.unfetched, m.unfetched)
		}
		for q := range queueCount {
			if got, want := listing(e, q), m.listing(q); got != want {
				t.Fatalf("queue %d of engine %d:\n%s\nwant\n%s", q, i, got, want)
			}
		}
	}
}

func (m *model) listing(q int) (s string) {
	for _, i := range m.queues[q] {
		s += fmt.Sprintf("%s=%d:%x %+v\n", i.key, len(i.value), hashKey([]byte(i.value)), i.meta)
	}
	return s
}

// listing returns what a queue of the engine holds, in order.
func listing(e *Engine, q int) (s string) {
	for seg := e.st.queues[q].first; seg != nil; seg = seg.next {
		for at := 0; at < seg.size; {
			r := e.st.arena.record(seg.at(at))
			head := r.load()
			at += r.sizeBytes(head)
			if head&deadBit == 0 && !e.st.gone(r, head) {
				key, value, m := r.read(head)
				s += fmt.Sprintf("%s=%d:%x %+v\n", key, len(value), hashKey(value), m)
			}
		}
	}
	return s
}

func appendItemValue(dst, _ []byte, it Item) []byte { return append(dst, it.Value...) }
