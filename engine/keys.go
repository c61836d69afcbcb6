package engine

import "github.com/cespare/xxhash/v2"

// Keys calls changed with the hash of each key whose item the operations of ops may
// change. It reports false if they may change items of other keys too, or cannot be
// read. What is evicted to make room is no change. Any goroutine may call it.
func (*Engine) Keys(count int, ops []byte, changed func(hash uint64)) (noOthers bool) {
	noOthers = true
	for range count {
		op, rest, err := DecodeOp(ops)
		if err != nil {
			return false
		}
		switch ops = rest; {
		case op.Kind.hasKey():
			changed(HashKey(op.Key))
		case op.Kind != OpOffset: // which tells what operations mean that follow
			noOthers = false
		}
	}
	return noOthers && len(ops) == 0
}

// HashKey is the hash by which Keys names a key. It is not that of the index, whose seed is
// not known before the first entry is applied.
func HashKey(key []byte) uint64 { return xxhash.Sum64(key) }
