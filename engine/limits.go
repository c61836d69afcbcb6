package engine

import (
	"encoding/binary"

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

// MemoryBytesMax is the highest memory limit, just below 16 GiB: half of what
// handles of 32 bits reach.
const MemoryBytesMax = arenaBytesMax / 2 &^ (1<<20 - 1)

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// form does OpInit: the first one sets the limits, others have no effect.
func (e *Engine) form(op *Op) item.Status {
	l, ok := readLimits(op.Value)
	if !ok || e.formed.Load() {
		return item.StatusOK
	}
	if l.MemoryBytes != e.formedBytes {
		e.resize(l.MemoryBytes)
	}
	e.formed.Store(true)
	e.limits, e.formedBytes = l, l.MemoryBytes
	e.ghosts.close()
	e.ghosts = newGhosts(l.MemoryBytes)
	return item.StatusOK
}

// resize replaces the store, in which there is nothing yet, by one for another
// limit: this node was started with one that is not the cluster's. A lower one
// would leave it too few addresses, a higher one waste a part of that limit.
func (e *Engine) resize(limit int64) {
	e.layout = layoutFor(limit)
	st, err := newStore(limit, 0, e.layout, &e.epochs)
	if err != nil {
		panic("engine: " + err.Error()) // real exhaustion of memory ends the process
	}
	st.timeMs.Store(e.st.timeMs.Load())
	e.become(st)
}

// setMemoryLimit does OpMemoryLimit. Items go bit by bit, with the entries that
// follow, if the limit is lowered.
func (e *Engine) setMemoryLimit(op *Op) item.Status {
	limit := int64(op.Delta)
	switch {
	case op.Delta < memoryLimitMin:
		return item.StatusTooSmall
	case op.Delta > uint64(max(raiseFree, raiseMax*e.formedBytes)) || op.Delta > uint64(MemoryBytesMax):
		return item.StatusOutOfBounds
	}
	e.mutations++
	e.limits.MemoryBytes = limit
	return item.StatusOK
}
