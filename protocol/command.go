package protocol

import (
	"bytes"
	"math"

	"raftcached/internal/item"
)

// fail makes the request an error line.
func (req *Request) fail(reply string) { *req = Request{Reply: reply} }

// refuse makes the request an error line, unless the line ends with "noreply": if
// memcached has parsed a line that far, noreply silences errors too.
func (p *Parser) refuse(req *Request, reply string) {
	if p.noReply() {
		reply = ""
	}
	req.fail(reply)
}

// noReply reports whether the last word is noreply.
func (p *Parser) noReply() bool { return string(p.tokens.last) == "noreply" }

// parseKeys parses the keys of a retrieval command.
func (p *Parser) parseKeys(line []byte, req *Request) {
	keys := p.room.keys[:0]
	if (len(line)+1)/2 > cap(keys) { // there may be more words than it has room for
		if most := 1 + bytes.Count(line, []byte{' '}); most > cap(keys) {
			keys = make([][]byte, 0, max(most, keysMin))
			p.room.keys = keys
		}
	}
	for {
		var key []byte
		if key, line = nextWord(line); key == nil {
			break
		}
		if len(key) > item.KeyBytesMax {
			req.fail(replyBadFormat)
			return
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		req.fail(replyBadFormat)
		return
	}
	req.Key, req.Keys = keys[0], keys
}

// parseKey parses the key, the second word of most commands.
func (p *Parser) parseKey(req *Request) bool {
	req.Key = p.tokens.at(1)
	return len(req.Key) > 0 && len(req.Key) <= item.KeyBytesMax
}

// parseStore parses COMMAND KEY FLAGS EXPTIME BYTES [CAS] [noreply]
// (protocol.txt, "Storage commands"). Once the length of the data block is known,
// the block belongs to the request, even if the request is invalid.
func (p *Parser) parseStore(c Command, req *Request) {
	t := &p.tokens
	size, ok := parseUint(t.at(4), valueBytesMax)
	if !ok {
		req.fail(replyBadFormat)
		return
	}
	t.valueBytes = int(size)
	flags, okFlags := parseFlags(t.at(2))
	exptime, okExptime := parseStoreExptime(t.at(3))
	okCAS := true
	if c == CAS {
		req.CAS, okCAS = parseUint(t.at(5), math.MaxUint64)
	}
	if !p.parseKey(req) || !okFlags || !okExptime || !okCAS {
		p.refuse(req, replyBadFormat)
		return
	}
	req.Command, req.NoReply = c, p.noReply()
	req.Flags, req.Exptime = flags, exptime
	req.TooLarge = item.SizeBytes(len(req.Key), flags, int(size)) > p.itemBytesMax
}

// parseGat parses gat EXPTIME KEY+ (protocol.txt, "Get And Touch").
func (p *Parser) parseGat(c Command, line []byte, req *Request) {
	t := &p.tokens
	if t.count < 3 {
		req.fail(replyBadFormat)
		return
	}
	exptime, ok := parseExptime(t.at(1))
	if !ok {
		req.fail(replyBadExptime)
		return
	}
	_, rest := nextWord(line)
	_, rest = nextWord(rest)
	req.Command, req.Exptime = c, exptime
	p.parseKeys(rest, req)
}

// parseTouch parses touch KEY EXPTIME [noreply] (protocol.txt, "Touch").
func (p *Parser) parseTouch(req *Request) {
	t := &p.tokens
	if t.count < 3 {
		req.fail(replyBadFormat)
		return
	}
	if !p.parseKey(req) {
		p.refuse(req, replyBadFormat)
		return
	}
	exptime, ok := parseExptime(t.at(2))
	if !ok {
		p.refuse(req, replyBadExptime)
		return
	}
	req.Command, req.Exptime, req.NoReply = Touch, exptime, p.noReply()
}

// parseDelete parses delete KEY [0] [noreply] (protocol.txt, "Deletion").
func (p *Parser) parseDelete(req *Request) {
	if p.tokens.count < 2 {
		req.fail(replyBadFormat)
		return
	}
	if !p.parseKey(req) {
		p.refuse(req, replyBadFormat)
		return
	}
	req.Command, req.NoReply = Delete, p.noReply()
}

// parseDelta parses incr KEY DELTA [noreply] (protocol.txt,
// "Increment/Decrement").
func (p *Parser) parseDelta(c Command, req *Request) {
	t := &p.tokens
	if t.count < 3 {
		req.fail(replyBadFormat)
		return
	}
	if !p.parseKey(req) {
		p.refuse(req, replyBadFormat)
		return
	}
	delta, ok := parseUint(t.at(2), math.MaxUint64)
	if !ok {
		p.refuse(req, replyBadDelta)
		return
	}
	req.Command, req.Delta, req.NoReply = c, delta, p.noReply()
}

// parseFlush parses flush_all [DELAY] [noreply].
func (p *Parser) parseFlush(req *Request) {
	t := &p.tokens
	req.Command, req.NoReply = FlushAll, p.noReply()
	words := 1
	if req.NoReply {
		words = 2
	}
	if t.count == words {
		return
	}
	exptime, ok := parseExptime(t.at(1))
	if !ok {
		p.refuse(req, replyBadExptime)
		return
	}
	req.Exptime = exptime
}

// parseMemlimit parses cache_memlimit MB [noreply].
func (p *Parser) parseMemlimit(req *Request) {
	megabytes, ok := parseUint(p.tokens.at(1), math.MaxUint32)
	switch {
	case !ok:
		p.refuse(req, replyError)
	case megabytes > memlimitMaxMegabytes:
		p.refuse(req, replyMemlimitBytes)
	default:
		req.Command, req.NoReply = CacheMemlimit, p.noReply()
		req.Delta = megabytes * mebibyte
	}
}

// parseStats parses the rest of the line: which statistics the client requests.
func (p *Parser) parseStats(line []byte, req *Request) {
	t := &p.tokens
	req.Command = Stats
	_, rest := nextWord(line)
	req.Arg = bytes.Trim(rest, " ")
	switch string(t.at(1)) {
	case "detail":
		if mode := string(t.at(2)); mode != "on" && mode != "off" && mode != "dump" {
			req.fail(replyBadStatDetail)
		}
	case "cachedump":
		class, okClass := parseUint(t.at(2), math.MaxUint32)
		limit, okLimit := parseUint(t.at(3), math.MaxUint32)
		switch {
		case t.count < 4:
			req.fail(replyBadDump)
		case !okClass || !okLimit:
			req.fail(replyBadFormat)
		case class >= slabClasses:
			req.fail(replyBadSlab)
		default:
			*req = Request{Command: CacheDump, Delta: limit, NoItems: class != dumpClass}
		}
	}
}
