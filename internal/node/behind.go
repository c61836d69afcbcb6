package node

import (
	"raftcached/engine"
	"raftcached/replication"
)

// behindBytesMax bounds the reads behind writes of one loop, and the values that they return.
const behindBytesMax = 2 << 20

// behind are the reads behind writes of a loop.
type behind struct {
	forming      *engine.Reads // those of the forming sub-batch; nil if there are none
	formingBytes int
	bytes        int // of these and those that wait, with their values and overhead
}

// ReadBehind implements server.Loop. Where writes are refused, reads may be answered.
func (l *loopBackend) ReadBehind(keys [][]byte) (valueBytes int, ok bool) {
	b := &l.reads
	if b.forming == nil && l.refuses() {
		return 0, false
	}
	size := 0
	for _, key := range keys {
		n := l.valueBytes(key)
		valueBytes += n
		size += opOverheadBytes + len(key) + n
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
