package node

import (
	"raftcached/engine"
	"raftcached/protocol"
	"raftcached/replication"
)

const (
	// behindBytesMax bounds the reads behind writes of one loop, and the values that they return.
	behindBytesMax = 2 << 20

	// behindOverheadBytes is what a read counts for in addition to its key and value: its result,
	// and who waits for it.
	behindOverheadBytes = 384
)

// behind are the reads behind writes of a loop.
type behind struct {
	forming      *engine.Reads // those of the forming sub-batch; nil if there are none
	formingBytes int
	bytes        int // of these and those that wait, with their values and overhead
}

// ReadBehind implements server.Loop. Where writes are refused, reads may be answered, and where
// reads may be old they are answered even if nothing can be written.
func (l *loopBackend) ReadBehind(keys [][]byte) (valueBytes int, ok bool) {
	b := &l.reads
	if b.forming == nil && l.refuses() || l.node.cfg.LocalReads && !l.node.replica.Status().Alone {
		return 0, false
	}
	size := 0
	for _, key := range keys {
		n := l.valueBytes(key)
		valueBytes += n
		size += behindOverheadBytes + len(key) + n
	}
	if b.bytes+size > behindBytesMax {
		return 0, false
	}
	b.bytes += size
	b.formingBytes += size
	if b.forming == nil {
		b.forming = new(engine.Reads)
	}
	for _, key := range keys {
		b.forming.Add(l.count, key)
	}
	l.lookUp(l.clock())
	return valueBytes, true
}

// refuses reports whether writes are refused.
func (l *loopBackend) refuses() bool {
	s := l.node.replica.Status()
	return s.Refusing != replication.RefusalNone || s.Verdict != replication.VerdictOK
}

// submit hands over the reads of the forming sub-batch, as replication.Replica.Submit takes them.
func (b *behind) submit(w *submitted) (reads any) {
	if b.forming == nil {
		return nil
	}
	w.count += b.forming.Len()
	w.reads = b.formingBytes
	reads, b.forming, b.formingBytes = b.forming, nil, 0
	return reads
}

const (
	// writtenBytesMin is from which size on a value tells how large an answer may be: as many smaller ones
	// as a client may be owed have room.
	writtenBytesMin = 512

	writtenGroups = 1 << 10
)

// written tells, by groups of keys, how large the values are that the loop's unanswered writes
// store. A read behind them returns them, and they are not in memory yet.
type written [writtenGroups]struct {
	tag  uint64 // of the sub-batch of the last one
	size int
}

// note takes a write that goes to the forming sub-batch.
func (w *written) note(l *loopBackend, req *protocol.Request) {
	if len(req.Value) < writtenBytesMin {
		return
	}
	g := &w[engine.HashKey(req.Key)%writtenGroups]
	if l.isAnswered(g.tag) {
		g.size = 0
	}
	if req.Command == protocol.Append || req.Command == protocol.Prepend {
		g.size += len(req.Value)
	} else {
		g.size = max(g.size, len(req.Value))
	}
	g.tag = l.lastTag + 1
}

// bytes is what unanswered writes may add to the value of a key.
func (w *written) bytes(l *loopBackend, key []byte) int {
	if g := &w[engine.HashKey(key)%writtenGroups]; g.size > 0 && !l.isAnswered(g.tag) {
		return g.size
	}
	return 0
}

// isAnswered reports whether a sub-batch was answered.
func (l *loopBackend) isAnswered(tag uint64) bool {
	return tag <= l.lastTag && (len(l.waiting) == 0 || tag < l.waiting[0].tag)
}
