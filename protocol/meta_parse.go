package protocol

import "raftcached/internal/item"

// isMeta reports whether a line is a meta command; these have two letters.
func isMeta(line []byte) bool {
	if len(line) < 2 || line[0] != 'm' || len(line) > 2 && line[2] != ' ' {
		return false
	}
	switch line[1] {
	case 'g', 's', 'd', 'a', 'n', 'e':
		return true
	}
	return false
}

// parseMeta parses a line for which isMeta holds (protocol.txt, "Meta Commands").
func (p *Parser) parseMeta(line []byte, req *Request) {
	p.tokens.last = nil // no word of a meta command silences errors
	req.Form.Codec = Meta
	name, rest := line[1], line[2:]
	if name == 'n' {
		req.Command = Noop
		return
	}
	req.Key, rest = nextWord(rest)
	if name == 's' && !p.parseMetaLength(&rest) || req.Key == nil {
		req.fail(replyBadFormat)
		return
	}
	req.Form.Flags = rest
	words := 2
	if name == 's' {
		words = 3
	}
	words, ok := metaWords(rest, words)
	if !ok {
		req.fail(replyBadFormat)
		return
	}
	if name == 'e' {
		p.parseMetaDebug(req)
		return
	}
	f := metaFlags{key: req.Key, decoded: p.metaKey[:0], delta: 1}
	var reply string
	switch {
	case len(req.Key) > item.KeyBytesMax:
		reply = replyBadFormat
	case words > metaWordsMax:
		reply = replyManyFlags
	default:
		reply = f.parse(rest)
	}
	switch {
	case reply == "":
		p.metaCommand(name, &f, req)
	case name == 'a':
		req.fail(replyBadMetaFlag) // the same line for all
	default:
		req.fail(reply)
	}
}

// metaCommand builds the request from what was parsed.
func (p *Parser) metaCommand(name byte, f *metaFlags, req *Request) {
	req.Key = f.key
	req.Form.Quiet, req.Form.Base64, req.Form.Value = f.quiet, f.base64, f.value
	if f.returnKey {
		req.Form.Key = f.key
	}
	switch name {
	case 'g':
		f.get(req)
	case 's':
		p.metaSet(f, req)
	case 'd':
		f.remove(req)
	case 'a':
		f.count(req)
	}
	if f.opaqueTooLong && req.Command != Invalid && !req.TooLarge {
		req.fail(replyLongOpaque)
	}
}

// parseMetaLength parses the length of the data block of ms at the front of rest.
// Once it is known the block belongs to the request, even if the request is
// invalid.
func (p *Parser) parseMetaLength(rest *[]byte) bool {
	var word []byte
	word, *rest = nextWord(*rest)
	size, ok := parseMetaInt(word)
	if !ok || size < 0 || size > valueBytesMax {
		return false
	}
	p.tokens.valueBytes = int(size)
	return true
}

// parseMetaDebug parses me KEY [b].
func (p *Parser) parseMetaDebug(req *Request) {
	req.Command = MetaDebug
	if len(req.Key) > item.KeyBytesMax {
		req.fail(replyBadFormat)
		return
	}
	if flag, _ := nextWord(req.Form.Flags); string(flag) == "b" {
		key, ok := decodeKey(p.metaKey[:0], req.Key)
		if !ok {
			req.fail(replyBadFormat)
			return
		}
		req.Key, req.Form.Base64 = key, true
	}
	req.Form.Key = req.Key
}

// get makes the request an mg. An mg that touches the item is a write.
func (f *metaFlags) get(req *Request) {
	req.Command = MetaGet
	if f.fields&item.HasExptime != 0 {
		req.Command = MetaGat
	}
	req.Form.HasMatch = f.fields&item.HasCAS != 0
	req.Form.MatchCAS = f.cas
	req.Fields = f.fields & (item.HasNewCAS | item.HasExptime | item.HasVivify | item.HasRecache | item.KeepAccess | item.TTLBefore | item.TouchBeforeRecache | item.TouchBeforeVivify)
	req.NewCAS, req.Exptime, req.Vivify, req.Recache = f.newCAS, f.exptime, f.vivify, f.recache
}

// metaSet makes the request an ms. It omits what memcached ignores in a mode: the
// exptime of append, the cas unique of add.
func (p *Parser) metaSet(f *metaFlags, req *Request) {
	size := p.tokens.valueBytes
	fields := f.fields & item.HasNewCAS
	switch f.mode {
	case 0, 'S', 'R':
		req.Command = Set
		if f.mode == 'R' {
			req.Command = Replace
		}
		fields |= f.fields & (item.HasCAS | item.HasExptime)
		if f.fields&item.HasCAS != 0 {
			fields |= f.fields & item.Invalidate
		}
	case 'E':
		req.Command = Add
		fields |= f.fields & item.HasExptime
	case 'A', 'P':
		req.Command = Append
		if f.mode == 'P' {
			req.Command = Prepend
		}
		fields |= f.fields & (item.HasCAS | item.HasVivify)
		if f.cas == 0 {
			fields &^= item.HasCAS // here 0 means no comparison
		}
	default:
		req.fail(replyBadSetMode)
		return
	}
	if f.newCAS == 0 {
		fields &^= item.HasNewCAS // of ms, 0 means the next number
	}
	if item.SizeBytes(len(req.Key), f.clientFlags, size) > p.itemBytesMax {
		req.Command, req.TooLarge = Set, true // the old item is removed, whatever the mode
	}
	req.Form.SizeBytes = size
	req.Flags = f.clientFlags
	req.setFields(f, fields)
}

// remove makes the request an md. It sets an exptime only if the item stays.
func (f *metaFlags) remove(req *Request) {
	req.Command = Delete
	fields := f.fields & (item.HasCAS | item.HasNewCAS | item.Invalidate | item.RemoveValue)
	if fields&(item.Invalidate|item.RemoveValue) != 0 {
		fields |= f.fields & item.HasExptime
	}
	if fields&item.RemoveValue != 0 {
		req.Flags = f.clientFlags
	}
	req.setFields(f, fields)
}

// count makes the request an ma.
func (f *metaFlags) count(req *Request) {
	switch f.mode {
	case 0, 'I', '+':
		req.Command = Incr
	case 'D', '-':
		req.Command = Decr
	default:
		req.fail(replyBadCountMode)
		return
	}
	req.Delta = f.delta
	fields := f.fields & (item.HasCAS | item.HasNewCAS | item.HasExptime | item.HasVivify | item.TTLBefore | item.TouchBeforeVivify)
	if f.cas == 0 {
		fields &^= item.HasCAS // here 0 means no comparison
	}
	if fields&item.HasVivify != 0 {
		fields |= item.HasInitial // 0 unless it was given
	}
	req.setFields(f, fields)
}

// setFields copies the values of the given fields.
func (req *Request) setFields(f *metaFlags, fields item.Fields) {
	req.Fields = fields
	if fields&item.HasCAS != 0 {
		req.CAS = f.cas
	}
	if fields&item.HasNewCAS != 0 {
		req.NewCAS = f.newCAS
	}
	if fields&item.HasExptime != 0 {
		req.Exptime = f.exptime
	}
	if fields&item.HasVivify != 0 {
		req.Vivify = f.vivify
	}
	if fields&item.HasInitial != 0 {
		req.Initial = f.initial
	}
}
