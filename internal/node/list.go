package node

import (
	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/protocol"
	"raftcached/protocol/server"
)

// BarrierOfAll implements server.Loop.
func (l *loopBackend) BarrierOfAll() server.Grant {
	if l.node.readsInline() {
		return server.GrantAll
	}
	l.barriers++
	return server.GrantLater
}

// List implements server.Loop.
func (l *loopBackend) List(dst []byte, c protocol.Command, at uint64, limit int) (out []byte, next uint64, told int, more bool) {
	offset := l.node.engine.OffsetMs()
	next, more = l.reader.List(at, func(it engine.Listed) {
		if told == limit {
			return
		}
		expiry := int64(-1)
		if it.ExpiryMs != 0 {
			expiry = (it.ExpiryMs - offset) / 1000
		}
		var tells bool
		dst, tells = protocol.AppendDumped(dst, c, &protocol.Dumped{
			Key: it.Key, Flags: it.Flags, CAS: it.CAS, ValueBytes: it.ValueBytes,
			SizeBytes: item.SizeBytes(len(it.Key), it.Flags, it.ValueBytes),
			Expiry:    expiry, Accessed: it.Accessed, Fetched: it.Fetched,
		})
		if tells {
			told++
		}
	})
	return dst, next, told, more
}
