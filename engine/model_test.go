package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

	"raftcached/engine/store"
	"raftcached/internal/item"
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
	queues    [store.QueueCount][]*modelItem
	ghosts    ghosts
	mayMove   int64
	evictions int64
	unfetched struct{ evicted, expired int64 }
}

type modelItem struct {
	key, value string
	store.Meta
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
			if i.ExpiryMs == 0 || store.SlotEnd(i.Level, i.ExpiryMs) > m.now {
				return false
			}
			if hinting && q == store.QueueSmall && i.Freq == 0 {
				m.unfetched.expired++
			}
			return true
		})
	}
	if m.flush != 0 && m.flush <= m.now {
		m.flush, m.queues = 0, [store.QueueCount][]*modelItem{}
	}
	m.mayMove = shrinkMovedBytes
	for m.total() > m.limit {
		m.evict(nil)
	}
}

func (m *model) total() (n int64) { return m.size(store.QueueSmall) + m.size(store.QueueMain) }

func (m *model) size(q int) (n int64) {
	for _, i := range m.queues[q] {
		n += i.charge
	}
	return n
}

func (m *model) alive(i *modelItem) bool { return i.ExpiryMs == 0 || i.ExpiryMs > m.now }

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

func (m *model) visible(key string) *modelItem {
	if it, _ := m.find(key); it != nil && m.alive(it) {
		return it
	}
	return nil
}

func (m *model) remove(it *modelItem) {
	for q := range m.queues {
		m.queues[q] = slices.DeleteFunc(m.queues[q], func(i *modelItem) bool { return i == it })
	}
}

// put stores it; expiryMs, flags, cas, key and value are set.
func (m *model) put(it *modelItem) {
	old, q := m.find(it.key)
	if it.ExpiryMs != 0 && it.ExpiryMs <= m.now {
		m.remove(old)
		return
	}
	it.Level = 0
	if it.ExpiryMs != 0 {
		it.Level = store.LevelFor(m.now, it.ExpiryMs)
	}
	it.Freq = 0
	to := store.QueueMain
	switch {
	case old == nil || !m.alive(old):
		if hash := store.Seed(0).Hash([]byte(it.key)); !m.ghosts.recall(hash, uint64(len(m.queues[0])+len(m.queues[1]))) {
			to = store.QueueSmall
		}
	case q == store.QueueMain:
		it.Freq = min(store.FreqMax, old.Freq+1)
	}
	it.charge = store.ChargeFor(&it.Meta, len(it.key), len(it.value))
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
		small := slices.IndexFunc(m.queues[store.QueueSmall], other) // 0 or -1: keep is the last
		main := slices.ContainsFunc(m.queues[store.QueueMain], other)
		if small >= 0 && (!main || m.size(store.QueueSmall) > m.limit/smallShare && promoted < promotionsMax && m.mayMove > 0) {
			it := m.queues[store.QueueSmall][0]
			m.queues[store.QueueSmall] = m.queues[store.QueueSmall][1:]
			if m.alive(it) && it.Freq >= promoteFreq {
				it.Freq = 0
				m.toMain(it)
				continue
			}
			if m.alive(it) {
				m.ghosts.add(store.Seed(0).Hash([]byte(it.key)))
				m.evictions++
				m.unfetched.evicted++ // it would have been promoted
			}
			return
		}
		for n := 0; ; n++ {
			it := m.queues[store.QueueMain][0]
			m.queues[store.QueueMain] = m.queues[store.QueueMain][1:]
			if m.alive(it) && (it == keep || it.Freq > 0 && n < secondChancesMax && m.mayMove > 0) {
				it.Freq = max(it.Freq, 1) - 1
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
	m.queues[store.QueueMain] = append(m.queues[store.QueueMain], it)
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

// store takes an item in, as far as there is room.
func (m *model) store(it *modelItem) item.Status {
	if !m.hasRoom(it) {
		return item.StatusOutOfMemory
	}
	m.mutations++
	m.put(it)
	return item.StatusStored
}

// hasRoom reports whether an item may be stored in the place of that of its key.
func (m *model) hasRoom(it *modelItem) bool {
	if !m.noEvict || it.ExpiryMs != 0 && it.ExpiryMs <= m.now {
		return true
	}
	more := store.ChargeFor(&it.Meta, len(it.key), len(it.value))
	if old, _ := m.find(it.key); old != nil {
		more -= old.charge
	}
	return more <= 0 || m.total()+more <= m.limit
}

func (m *model) hint(hashes []byte) {
	for ; len(hashes) > 0; hashes = hashes[hashBytes:] {
		for q := range m.queues {
			for _, i := range m.queues[q] {
				if store.Seed(0).Hash([]byte(i.key)) == binary.LittleEndian.Uint64(hashes) && m.alive(i) {
					i.Freq = min(store.FreqMax, i.Freq+1)
				}
			}
		}
	}
}

func (m *model) listing(q int) (s string) {
	for _, i := range m.queues[q] {
		s += fmt.Sprintf("%s=%d:%x %+v\n", i.key, len(i.value), store.Seed(0).Hash([]byte(i.value)), i.Meta)
	}
	return s
}
