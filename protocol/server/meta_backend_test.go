package server

import (
	"raftcached/protocol"

	"raftcached/internal/item"
)

// The part of the meta commands and the binary protocol that memory implements:
// enough to test a read that becomes a write. Any R wins if no client has won yet.

// Look implements Loop.
func (l *memoryLoop) Look(dst []byte, req *protocol.Request, h Heed) ([]byte, Found) {
	l.b.mu.Lock()
	defer l.b.mu.Unlock()
	if l.underWay(req.Key, h) {
		return dst, UnderWay
	}
	it, found := l.b.items[string(req.Key)]
	found = found && !l.b.gone(it)
	switch {
	case !found && req.Fields&item.HasVivify != 0, found && req.Fields&item.HasRecache != 0 && !it.won:
		l.b.note("needs write " + string(req.Key))
		return dst, NeedsWrite
	case !found:
		return protocol.AppendAnswer(dst, req.Command, &req.Form, &protocol.Result{Status: protocol.StatusMiss}), Miss
	}
	r := it.shown()
	return protocol.AppendAnswer(dst, req.Command, &req.Form, &r), Hit
}

// shown is the result that describes an item.
func (it *storedItem) shown() protocol.Result {
	r := protocol.Result{
		Status: protocol.StatusHit, Value: it.value, Flags: it.flags, CAS: it.cas, SizeBytes: len(it.value), TTLSeconds: -1,
	}
	if it.won {
		r.Marks = item.AlreadyWon
	}
	return r
}

// metaGet executes mg and Binary's gat. b.mu is held.
func (b *memory) metaGet(op *operation, it storedItem, found bool) protocol.Result {
	wins := found && op.Fields&item.HasRecache != 0 && !it.won
	if !found {
		if op.Fields&item.HasVivify == 0 {
			return protocol.Result{Status: protocol.StatusMiss}
		}
		b.cas++
		it = storedItem{cas: b.cas, stored: b.now()}
		wins = true
	}
	if op.Fields&item.HasExptime != 0 {
		it.expires = b.expiry(op.Exptime)
	}
	it.won = it.won || wins
	b.items[op.key] = it
	r := it.shown()
	if wins {
		r.Marks = item.Won
	}
	return r
}

// packet returns a packet of the binary protocol, without cas unique and with
// opaque 7.
func packet(opcode uint8, key, value string, extras ...byte) string {
	body := len(extras) + len(key) + len(value)
	header := []byte{
		0x80, opcode, byte(len(key) >> 8), byte(len(key)), byte(len(extras)), 0, 0, 0,
		byte(body >> 24), byte(body >> 16), byte(body >> 8), byte(body), 0, 0, 0, 7,
		0, 0, 0, 0, 0, 0, 0, 0,
	}
	return string(header) + string(extras) + key + value
}

// answer returns the answer to such a packet.
func answer(opcode, status uint8, cas uint64, body string) string {
	return string([]byte{
		0x81, opcode, 0, 0, 0, 0, 0, status,
		0, 0, byte(len(body) >> 8), byte(len(body)), 0, 0, 0, 7,
		0, 0, 0, 0, 0, 0, byte(cas >> 8), byte(cas),
	}) + body
}
