package node

import (
	"raftcached/engine"
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

// operation returns what a request that writes asks of the engine, with the first
// of its keys.
func operation(req *protocol.Request) engine.Op {
	if req.TooLarge {
		return engine.Op{Kind: engine.OpDiscard, Key: req.Key}
	}
	op := engine.Op{
		Kind: opKinds[req.Command], Flags: req.Flags, Exptime: req.Exptime,
		CAS: req.CAS, Delta: req.Delta, Key: req.Key, Value: req.Value,
	}
	if req.Form.Codec != protocol.Text {
		op.Fields = engine.Fields(req.Fields) | engine.Detailed // the same bits; a test sees to it
		op.NewCAS, op.Initial, op.Vivify, op.Recache = req.NewCAS, req.Initial, req.Vivify, req.Recache
	}
	if req.Form.Codec == protocol.Binary && req.Command == protocol.MetaGat {
		// Binary cannot tell that an item is stale: its clients win nothing.
		op.Kind = engine.OpGat
	}
	return op
}

// statuses maps the engine's outcomes to the protocol's.
var statuses = [...]protocol.Status{
	engine.StatusStored: protocol.StatusStored, engine.StatusNotStored: protocol.StatusNotStored,
	engine.StatusExists: protocol.StatusExists, engine.StatusNotFound: protocol.StatusNotFound,
	engine.StatusDeleted: protocol.StatusDeleted, engine.StatusTouched: protocol.StatusTouched,
	engine.StatusOK: protocol.StatusOK, engine.StatusNumber: protocol.StatusNumber,
	engine.StatusHit: protocol.StatusHit, engine.StatusMiss: protocol.StatusMiss,
	engine.StatusNonNumeric: protocol.StatusNonNumeric, engine.StatusTooLarge: protocol.StatusTooLarge,
	engine.StatusOutOfMemory: protocol.StatusOutOfMemory, engine.StatusTooSmall: protocol.StatusTooSmall, engine.StatusOutOfBounds: protocol.StatusOutOfBounds,
}

// resultOf returns the result of an operation as the protocol has it. It borrows
// the slices.
func resultOf(r *engine.Result) protocol.Result {
	return protocol.Result{
		Status: statuses[r.Status], Flags: r.Flags, CAS: r.CAS, Number: r.Number, Key: r.Key, Value: r.Value,
		SizeBytes: r.SizeBytes, TTLSeconds: r.TTLSeconds, Marks: protocol.Marks(r.Marks), IdleSeconds: r.IdleSeconds,
	}
}
