package engine

import (
	"encoding/binary"

	"raftcached/engine/store"
	"raftcached/internal/item"
)

// Formation returns the operation that puts the limits with which New was called
// into the log, or nil if the log has them already. Any goroutine may call it.
func (e *Engine) Formation() []byte {
	if e.formed.Load() {
		return nil
	}
	return AppendOp(nil, &Op{Kind: OpInit, Value: appendLimits(nil, e.initial)})
}

// limitsBytes is the size of encoded limits: memory 8 | item 8 | no-evict 1.
const limitsBytes = 17

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
	l, ok := readLimits(op.Value)
	if !ok || e.formed.Load() {
		return
	}
	if l.MemoryBytes != e.formedBytes {
		e.resize(l.MemoryBytes)
	}
	e.formed.Store(true)
	e.limits, e.formedBytes = l, l.MemoryBytes
	e.ghosts.close()
	e.ghosts = newGhosts(l.MemoryBytes)
}

// resize replaces the store, which is still empty, by one for another limit: this node
// was started with one that is not the cluster's. A store for a lower limit would have
// too little address space, one for a higher limit would waste a part of it.
func (e *Engine) resize(limit int64) {
	e.layout = store.LayoutFor(limit)
	if !e.replaceStore(limit) {
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
