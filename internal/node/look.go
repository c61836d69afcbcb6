package node

import (
	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/protocol"
	"raftcached/protocol/server"
)

// look holds what one call of Look works with. The function that the reader calls
// with the item is bound once: a closure for each call would be garbage.
type look struct {
	view func(dst, key []byte, it engine.Item) []byte

	req    *protocol.Request
	writes bool // the item would change
	result protocol.Result
}

// Look implements server.Loop.
func (l *loopBackend) Look(dst []byte, req *protocol.Request, h server.Heed) ([]byte, server.Found) {
	if l.isUnderWay(req.Key, h) {
		return dst, server.UnderWay
	}
	k := &l.look
	if k.view == nil {
		k.view = k.answer
	}
	k.req, k.writes = req, false
	keepAccess := req.Command == protocol.MetaDebug || req.Fields&item.KeepAccess != 0
	dst, found := l.reader.Look(dst, req.Key, keepAccess, k.view)
	k.req = nil
	switch {
	case l.withheld():
		return dst, server.UnderWay
	case found && k.writes, !found && req.Fields&item.HasVivify != 0:
		return dst, server.NeedsWrite
	case found:
		return dst, server.Hit
	}
	k.result = protocol.Result{Status: protocol.StatusMiss, Key: req.Key}
	return protocol.AppendAnswer(dst, req.Command, &req.Form, &k.result), server.Miss
}

// answer appends the reply to a request whose item was found. If the request would
// change the item it appends nothing, and the item does not count as read.
func (k *look) answer(dst, key []byte, it engine.Item) []byte {
	if k.req.Command == protocol.MetaGet && k.req.Form.Codec == protocol.Meta && !k.req.NoWin && it.Wins(k.recache()) {
		k.writes = true
		return dst
	}
	k.result = protocol.Result{
		Status: protocol.StatusHit, Flags: it.Flags, CAS: it.CAS, Key: key, Value: it.Value,
		SizeBytes: len(it.Value), TTLSeconds: it.TTLSeconds(), Marks: it.Marks, IdleSeconds: it.IdleSeconds,
	}
	return protocol.AppendAnswer(dst, k.req.Command, &k.req.Form, &k.result)
}

// recache returns the seconds left to live below which a client is to fetch the item
// again, or 0 if the request has no such bound.
func (k *look) recache() int64 {
	if k.req.Fields&item.HasRecache == 0 {
		return 0
	}
	return k.req.Recache
}
