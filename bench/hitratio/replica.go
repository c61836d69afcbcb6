package hitratio

import "raftcached/engine"

// itemBytesMax is the servers' default for the largest item; half of the memory
// is the most that the engine allows.
const itemBytesMax = 1 << 20

// replica is one node's engine with one reader. Only this file uses the engine.
type replica struct {
	engine *engine.Engine
	reader *engine.Reader
}

func newReplica(memoryBytes int64) (*replica, error) {
	e, err := engine.New(engine.Limits{
		MemoryBytes:  memoryBytes,
		ItemBytesMax: int(min(itemBytesMax, memoryBytes/2)),
	})
	if err != nil {
		return nil, err
	}
	return &replica{e, e.NewReader()}, nil
}

func (r *replica) close() { r.engine.Close() }

// has gets the key and reports whether it hits.
func (r *replica) has(key []byte) bool {
	_, hit := r.reader.View(nil, key, func(dst, _ []byte, _ engine.Item) []byte { return dst })
	return hit
}

// apply applies an entry: count operations, at a time in ms.
func (r *replica) apply(stampMs int64, count int, ops []byte) {
	r.engine.Advance(stampMs)
	r.engine.Apply(count, ops, false)
}

// appendSet appends the operation that sets key to value.
func appendSet(ops, key, value []byte) []byte {
	return engine.AppendOp(ops, &engine.Op{Kind: engine.OpSet, Key: key, Value: value})
}

// takeHints appends the reader's hints to dst.
func (r *replica) takeHints(dst []byte) []byte { return r.reader.TakeHints(dst) }

// hint applies the hints of all replicas.
func (r *replica) hint(hashes []byte) { r.engine.Hint(hashes) }

// digest is equal for replicas of equal state.
func (r *replica) digest() [2]uint64 {
	contents, order := r.engine.Digest()
	return [2]uint64{contents, order}
}
