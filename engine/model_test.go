package engine

import (
	"encoding/binary"
	"fmt"
	"slices"

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
	it.charge = chargeFor(&it.meta, len(it.key), len(it.value))
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
	if !m.noEvict || it.expiryMs != 0 && it.expiryMs <= m.now {
		return true
	}
	more := chargeFor(&it.meta, len(it.key), len(it.value))
	if old, _ := m.find(it.key); old != nil {
		more -= old.charge
	}
	return more <= 0 || m.total()+more <= m.limit
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

func (m *model) listing(q int) (s string) {
	for _, i := range m.queues[q] {
		s += fmt.Sprintf("%s=%d:%x %+v\n", i.key, len(i.value), hashKey([]byte(i.value)), i.meta)
	}
	return s
}
