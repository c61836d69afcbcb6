package node

import (
	"raftcached/engine"
	"raftcached/protocol/server"
)

const (
	// gatBytesMax bounds the values that a gat of several keys asks for at a time.
	gatBytesMax = 1 << 20

	// unknownValueBytes is what the value of an item counts for that this node does not
	// have, or not yet: as many answers as a client may leave unread have room if its
	// items are as large as they may be by default.
	unknownValueBytes = 64 << 10
)

// Absent implements server.Loop. Where reads may be old, it tells nothing: a gat would see
// less than it does through the log.
func (l *loopBackend) Absent(key []byte, h server.Heed) bool {
	if l.node.cfg.LocalReads && !l.node.replica.Status().Alone || l.isUnderWay(key, h) {
		return false
	}
	_, found := l.reader.ValueBytes(key)
	return !found
}

// writeGat is Write for the keys of a gat, up to one for which there is no room. How
// large a value will be is not known, as writes are under way. How large it is now
// tells enough: what comes of it otherwise is bounded by the engine's results.
func (l *loopBackend) writeGat(op *engine.Op, keys [][]byte) (accepted, valueBytes int) {
	for _, key := range keys {
		n := l.valueBytes(key)
		if accepted > 0 && valueBytes+n > gatBytesMax || !l.take(opOverheadBytes+len(key)+n) {
			break
		}
		op.Key = key
		l.ops = engine.AppendOp(l.ops, op)
		l.count++
		accepted++
		valueBytes += n
		if len(l.ops) >= subBatchBytesTarget {
			l.submit(false)
		}
	}
	return accepted, valueBytes
}

// valueBytes is what the answer of a gat, or of a read behind writes, counts for, before it is made.
func (l *loopBackend) valueBytes(key []byte) int {
	n, ok := l.reader.ValueBytes(key)
	if more := l.written.bytes(l, key); ok || more > 0 {
		return n + more
	}
	if s := l.node.replica.Status(); s.Leader != s.ID || l.gate.Changes(engine.HashKey(key)) {
		return unknownValueBytes // another node may have it by now
	}
	return 0
}
