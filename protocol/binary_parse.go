package protocol

import (
	"bytes"
	"encoding/binary"

	"raftcached/internal/item"
)

// parseBinary finds the first packet in b, as Parse does. An error of a packet shows in
// its header, and is answered before its body has arrived.
func (p *Parser) parseBinary(b []byte, req *Request) (consumed int, v Verdict) {
	if p.hungUp || len(b) > 0 && b[0] != binaryMagic {
		return 0, Close
	}
	if len(b) < headerBytes {
		p.needed = headerBytes
		return 0, NeedMore
	}
	h := readHeader(b)
	op := &opcodes[h.opcode]
	*req = Request{Form: Form{Codec: Binary, Quiet: op.quiet, Opcode: h.opcode, Opaque: h.opaque}}
	if !req.checkHeader(op, &h) {
		return headerBytes, Ready
	}
	at := headerBytes + h.extras + h.key
	if len(b) < at {
		p.needed = at
		return 0, NeedMore
	}
	req.Command = op.command
	if h.key > 0 {
		req.Key = b[at-h.key : at : at]
	}
	if op.keyBack {
		req.Form.Key = req.Key
	}
	req.takeExtras(&h, b[headerBytes:at-h.key])
	return p.binaryValue(b, at, op.value, &h, req)
}

// checkHeader reports whether the header is valid. If not, req says why. After some
// invalid headers memcached closes the connection, and so does this server.
func (req *Request) checkHeader(op *opcode, h *header) bool {
	switch {
	case h.value() < 0:
		req.Status, req.HangUp = StatusUnknownCommand, true
	case h.body > bodyBytesMax, h.key > item.KeyBytesMax:
		req.Status, req.HangUp = StatusInvalid, true
	case op.command == Invalid, op.command == Verbosity && !op.takes(h):
		req.Status, req.swallowBytes = StatusUnknownCommand, h.body
	case !op.takes(h):
		req.Status, req.HangUp = StatusInvalid, true
	default:
		return true
	}
	return false
}

// takeExtras reads the extras, which precede the key, and the cas unique.
func (req *Request) takeExtras(h *header, extras []byte) {
	switch req.Command {
	case Set, Add, Replace:
		req.Flags = binary.BigEndian.Uint32(extras)
		req.Exptime = binaryExptime(extras[4:])
	case Incr, Decr:
		req.Delta = binary.BigEndian.Uint64(extras)
		if binary.BigEndian.Uint32(extras[16:]) != exptimeNoCreate {
			req.Initial = binary.BigEndian.Uint64(extras[8:])
			req.Vivify = binaryExptime(extras[16:])
			req.Fields |= item.HasInitial | item.HasVivify
		}
	case MetaGat:
		req.Exptime = binaryExptime(extras)
		req.Fields |= item.HasExptime
	case Touch:
		req.Exptime = binaryExptime(extras)
	case Verbosity:
		req.Delta = uint64(binary.BigEndian.Uint32(extras))
	case FlushAll:
		if len(extras) > 0 {
			req.Exptime = binaryExptime(extras)
		}
	case Stats:
		req.Arg, req.Key = req.Key, nil
		if !binaryStats(req.Arg) {
			*req = Request{Form: req.Form, Status: StatusNotFound}
		}
	}
	if h.cas != 0 && req.Command.comparesCAS() {
		req.CAS = h.cas
		req.Fields |= item.HasCAS
	}
}

// binaryExptime reads an exptime. No value means immediately.
func binaryExptime(b []byte) int64 { return min(int64(binary.BigEndian.Uint32(b)), exptimeMax) }

// binaryStats reports whether statistics of this name are available in packets.
func binaryStats(arg []byte) bool {
	name, _, _ := bytes.Cut(arg, []byte(" "))
	switch string(name) {
	case "conns", "cachedump": // memcached has them in text only
		return false
	case "detail":
		mode := string(arg[len(name):])
		return mode == " on" || mode == " off" || mode == " dump"
	}
	return true
}

// binaryValue completes a request whose value begins at offset at of b.
func (p *Parser) binaryValue(b []byte, at int, value presence, h *header, req *Request) (consumed int, v Verdict) {
	if value != needed {
		req.swallowBytes = h.value()
		return at, Ready
	}
	switch {
	case req.Command == SASLAuth && h.value() > saslBytesMax:
		*req = Request{Form: req.Form, Status: StatusOutOfMemory}
		req.swallowBytes = h.value()
		return at, Ready
	case req.Command != SASLAuth && item.SizeBytes(h.key, req.Flags, h.value()) > p.itemBytesMax:
		req.TooLarge = true
		req.Fields, req.CAS = 0, 0 // memcached removes the old item without comparing the cas unique
		req.swallowBytes = h.value()
		return at, Ready
	}
	end := at + h.value()
	if len(b) < end {
		p.needed = end
		return 0, NeedMore
	}
	if req.Fields&item.HasCAS != 0 && (req.Command == Add || req.Command == Replace) {
		// With a cas unique memcached treats them like set.
		req.Command = Set
	}
	req.Value = b[at:end:end]
	return end, Ready
}
