package engine

import (
	"encoding/binary"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// Formation returns the operation that puts the limits with which New was called, and
// the seed of Propose, into the log, or nil if the log has them already. Any goroutine may
// call it.
func (e *Engine) Formation() []byte {
	if e.formed.Load() {
		return nil
	}
	value := appendLimits(nil, e.initial)
	if e.seed != 0 {
		value = binary.LittleEndian.AppendUint64(value, uint64(e.seed))
	}
	return AppendOp(nil, &Op{Kind: OpInit, Value: value})
}

// Propose sets the seed of the hash of keys for Formation. It should be random: who knows
// it can choose keys that make others slow. It is called before anything else.
func (e *Engine) Propose(seed uint64) { e.seed = store.Seed(seed) }

// limitsBytes is the size of encoded limits: memory 8 | item 8 | no-evict 1. A formation may
// have the seed behind it, 8.
const (
	limitsBytes = 17
	seedBytes   = 8
)

// readFormation reads the value of OpInit.
func readFormation(b []byte) (l Limits, seed store.Seed, ok bool) {
	if len(b) == limitsBytes+seedBytes {
		seed = store.Seed(binary.LittleEndian.Uint64(b[limitsBytes:]))
		b = b[:limitsBytes]
	}
	l, ok = readLimits(b)
	return l, seed, ok
}

func appendLimits(dst []byte, l Limits) []byte {
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.MemoryBytes))
	dst = binary.LittleEndian.AppendUint64(dst, uint64(l.ItemBytesMax))
	return append(dst, byte(btoi(l.NoEvict)))
}

func readLimits(b []byte) (l Limits, ok bool) {
	if len(b) != limitsBytes {
		return l, false
	}
	l.MemoryBytes = int64(binary.LittleEndian.Uint64(b))
	l.ItemBytesMax = int(binary.LittleEndian.Uint64(b[8:]))
	l.NoEvict = b[16] == 1
	return l, b[16] <= 1 && l.MemoryBytes > 0 && l.MemoryBytes <= MemoryBytesMax && l.ItemBytesMax > 0
}

// MemoryBytesMax is the highest memory limit.
const MemoryBytesMax = store.LimitBytesMax

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// form does OpInit: the first one sets the limits, others have no effect.
func (e *Engine) form(op *Op) {
	l, seed, ok := readFormation(op.Value)
	if !ok || e.formed.Load() {
		return
	}
	switch {
	case l.MemoryBytes != e.formedBytes || seed != e.st.Seed() && e.st.Linked() > 0:
		e.remake(l.MemoryBytes, seed)
	case seed != e.st.Seed():
		e.st.SetSeed(seed) // there may be no address space for two stores
	}
	e.formed.Store(true)
	e.limits, e.formedBytes = l, l.MemoryBytes
	e.ghosts.close()
	e.ghosts = newGhosts(l.MemoryBytes)
}

// remake replaces the store, which is empty in the log of a sound leader, by one with the
// cluster's seed and for its limit: this node was started with another. A store for a lower
// limit would have too little address space, one for a higher limit would waste a part of
// it.
func (e *Engine) remake(limit int64, seed store.Seed) {
	if limit != e.formedBytes {
		e.layout = store.LayoutFor(limit)
	}
	if !e.replaceStore(limit, seed) {
		panic("engine: no memory for an empty store") // without it, the state cannot begin
	}
}

// setMemoryLimit does OpMemoryLimit. If the limit is lowered, the entries that follow
// evict a bounded number of items each.
func (e *Engine) setMemoryLimit(op *Op) item.Status {
	limit := int64(op.Delta)
	switch {
	case op.Delta < memoryLimitMin:
		return item.StatusTooSmall
	case op.Delta > uint64(store.LimitMax(e.formedBytes)):
		return item.StatusOutOfBounds
	}
	e.mutations++
	e.limits.MemoryBytes = limit
	return item.StatusOK
}
