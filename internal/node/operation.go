package node

import (
	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/protocol"
)

// opKinds maps the commands that write to the engine's operations.
var opKinds = [...]engine.OpKind{
	protocol.Gat: engine.OpGat, protocol.Gats: engine.OpGat,
	protocol.Set: engine.OpSet, protocol.Add: engine.OpAdd, protocol.Replace: engine.OpReplace,
	protocol.Append: engine.OpAppend, protocol.Prepend: engine.OpPrepend, protocol.CAS: engine.OpCAS,
	protocol.Touch: engine.OpTouch, protocol.Delete: engine.OpDelete,
	protocol.Incr: engine.OpIncr, protocol.Decr: engine.OpDecr, protocol.FlushAll: engine.OpFlushAll,
	protocol.CacheMemlimit: engine.OpMemoryLimit,
	protocol.MetaGet:       engine.OpMetaGet, protocol.MetaGat: engine.OpMetaGet,
}

// operation returns the operation of a request that writes, for the first of its
// keys.
func operation(req *protocol.Request) engine.Op {
	if req.TooLarge {
		return engine.Op{Kind: engine.OpSetTooLarge, Key: req.Key}
	}
	op := engine.Op{
		Kind: opKinds[req.Command], Flags: req.Flags, Exptime: req.Exptime,
		CAS: req.CAS, Delta: req.Delta, Key: req.Key, Value: req.Value,
	}
	if req.Form.Codec != protocol.Text {
		op.Fields = req.Fields | item.Detailed
		op.NewCAS, op.Initial, op.Vivify, op.Recache = req.NewCAS, req.Initial, req.Vivify, req.Recache
	}
	if req.Form.Codec == protocol.Binary && req.Command == protocol.MetaGat {
		// The binary protocol cannot report that an item is stale, so its clients
		// never win.
		op.Kind = engine.OpGat
	}
	return op
}
