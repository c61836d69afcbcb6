package protocol

import (
	"bytes"
	"math"
)

// tokensMax is how many words of a line other than a multiget are looked at.
// memcached passes over what follows, but for the last word.
const tokensMax = 8

// tokens are the words of a line, between blanks.
type tokens struct {
	word  [tokensMax][]byte
	count int    // of all words, looked at or not
	last  []byte // the last word

	valueBytes int // declared length of the data block, -1 if the line has none
}

// split finds the words of a line.
func (t *tokens) split(line []byte) {
	t.count = 0
	t.last = nil
	for {
		var word []byte
		if word, line = nextWord(line); word == nil {
			return
		}
		if t.count < tokensMax {
			t.word[t.count] = word
		}
		t.count++
		t.last = word
	}
}

// nextWord returns the first word of b and what follows it, or nil.
func nextWord(b []byte) (word, rest []byte) {
	for len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	if len(b) == 0 {
		return nil, nil
	}
	if end := bytes.IndexByte(b, ' '); end >= 0 {
		return b[:end], b[end:]
	}
	return b, nil
}

// at returns word i, or nil.
func (t *tokens) at(i int) []byte {
	if i < t.count && i < tokensMax {
		return t.word[i]
	}
	return nil
}

// parseLine parses a line without its end. It reports false if the connection is
// to be closed.
func (p *Parser) parseLine(line []byte, req *Request) bool {
	t := &p.tokens
	t.valueBytes = -1
	if bytes.HasPrefix(line, []byte("get ")) {
		req.Command = Get
		p.parseKeys(line[4:], req)
		return true
	}
	if bytes.HasPrefix(line, []byte("gets ")) {
		req.Command = Gets
		p.parseKeys(line[5:], req)
		return true
	}
	t.split(line)
	if t.count == 0 || len(line) < 2 {
		req.fail(replyBadFormat)
		return true
	}
	if line[0] == ' ' {
		req.fail(replyError)
		return true
	}
	return p.parseCommand(line, req)
}

// parseCommand dispatches on the first word. A word that names nothing, with a
// last word as in "GET / HTTP/1.1", is a browser: memcached hangs up.
func (p *Parser) parseCommand(line []byte, req *Request) bool {
	t := &p.tokens
	switch string(t.word[0]) {
	case "get", "gets":
		req.fail(replyBadFormat) // without keys
	case "set":
		p.parseStore(Set, req)
	case "add":
		p.parseStore(Add, req)
	case "replace":
		p.parseStore(Replace, req)
	case "append":
		p.parseStore(Append, req)
	case "prepend":
		p.parseStore(Prepend, req)
	case "cas":
		p.parseStore(CAS, req)
	case "gat":
		p.parseGat(Gat, line, req)
	case "gats":
		p.parseGat(Gats, line, req)
	case "touch":
		p.parseTouch(req)
	case "delete":
		p.parseDelete(req)
	case "incr":
		p.parseDelta(Incr, req)
	case "decr":
		p.parseDelta(Decr, req)
	default:
		return p.parseAdmin(line, req)
	}
	return true
}

// parseAdmin parses the commands that are not about keys.
func (p *Parser) parseAdmin(line []byte, req *Request) bool {
	t := &p.tokens
	switch string(t.word[0]) {
	case "flush_all":
		p.parseFlush(req)
	case "version":
		req.Command = Version
	case "verbosity":
		req.Command = Verbosity
		req.NoReply = p.noReply()
		if _, ok := parseUint(t.at(1), math.MaxUint32); !ok {
			req.fail(replyBadFormat)
		}
	case "stats":
		p.parseStats(line, req)
	case "shutdown":
		req.Command = Shutdown
		if mode := t.at(1); mode != nil && string(mode) != "graceful" {
			req.fail(replyBadShutdown)
		}
	case "quit":
		req.Command = Quit
	case "watch":
		req.fail(replyNoWatch)
	default:
		if t.count > 1 && bytes.HasPrefix(t.last, []byte("HTTP/")) {
			return false
		}
		req.fail(replyError)
	}
	return true
}

// fail makes the request an error line. "noreply" does not silence it.
func (r *Request) fail(reply string) { *r = Request{Reply: reply} }

// noReply reports whether the last word asks for silence.
func (p *Parser) noReply() bool { return string(p.tokens.last) == "noreply" }

// parseKeys parses the keys of a retrieval command.
func (p *Parser) parseKeys(line []byte, req *Request) {
	p.keys = p.keys[:0]
	for {
		var key []byte
		if key, line = nextWord(line); key == nil {
			break
		}
		if len(key) > keyBytesMax {
			req.fail(replyBadFormat)
			return
		}
		p.keys = append(p.keys, key)
	}
	if len(p.keys) == 0 {
		req.fail(replyBadFormat)
		return
	}
	req.Key, req.Keys = p.keys[0], p.keys
}

// parseKey takes the key, the second word of most commands.
func (p *Parser) parseKey(req *Request) bool {
	req.Key = p.tokens.at(1)
	return len(req.Key) > 0 && len(req.Key) <= keyBytesMax
}

// parseStore parses COMMAND KEY FLAGS EXPTIME BYTES [CAS] [noreply]
// (protocol.txt, "Storage commands").
func (p *Parser) parseStore(c Command, req *Request) {
	t := &p.tokens
	words := 5
	if c == CAS {
		words = 6
	}
	if t.count < words {
		req.fail(replyBadFormat)
		return
	}
	size, ok := parseUint(t.at(4), valueBytesMax)
	if !ok {
		req.fail(replyBadFormat)
		return
	}
	t.valueBytes = int(size)
	req.Command, req.NoReply = c, t.count > words && p.noReply()
	flags, okFlags := parseUint(t.at(2), math.MaxUint64)
	exptime, okExptime := parseInt(t.at(3))
	okCAS := true
	if c == CAS {
		req.CAS, okCAS = parseUint(t.at(5), math.MaxUint64)
	}
	if !p.parseKey(req) || !okFlags || !okExptime || !okCAS {
		req.fail(replyBadFormat)
		return
	}
	req.Flags, req.Exptime = uint32(flags), exptime
	req.TooLarge = len(req.Key)+int(size)+itemOverheadBytes > p.itemBytesMax
}

// parseGat parses gat EXPTIME KEY+ (protocol.txt, "Get And Touch").
func (p *Parser) parseGat(c Command, line []byte, req *Request) {
	t := &p.tokens
	if t.count < 3 {
		req.fail(replyBadFormat)
		return
	}
	exptime, ok := parseInt(t.at(1))
	if !ok || exptime != int64(int32(exptime)) {
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
	if t.count < 3 || !p.parseKey(req) {
		req.fail(replyBadFormat)
		return
	}
	exptime, ok := parseInt(t.at(2))
	if !ok || exptime != int64(int32(exptime)) {
		req.fail(replyBadExptime)
		return
	}
	req.Command, req.Exptime, req.NoReply = Touch, exptime, p.noReply()
}

// parseDelete parses delete KEY [0] [noreply] (protocol.txt, "Deletion").
func (p *Parser) parseDelete(req *Request) {
	if !p.parseKey(req) {
		req.fail(replyBadFormat)
		return
	}
	req.Command, req.NoReply = Delete, p.noReply()
}

// parseDelta parses incr KEY DELTA [noreply] (protocol.txt,
// "Increment/Decrement").
func (p *Parser) parseDelta(c Command, req *Request) {
	t := &p.tokens
	if t.count < 3 || !p.parseKey(req) {
		req.fail(replyBadFormat)
		return
	}
	delta, ok := parseUint(t.at(2), math.MaxUint64)
	if !ok {
		req.fail(replyBadDelta)
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
	exptime, ok := parseInt(t.at(1))
	if !ok || exptime != int64(int32(exptime)) {
		req.fail(replyBadExptime)
		return
	}
	req.Exptime = exptime
}

// parseStats takes the rest of the line as what statistics are asked for.
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
		if t.count < 4 {
			req.fail(replyBadDump)
		}
	}
}

// parseUint reads an unsigned decimal of at most limit.
func parseUint(b []byte, limit uint64) (n uint64, ok bool) {
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		d := uint64(c - '0')
		if c < '0' || c > '9' || n > (limit-d)/10 {
			return 0, false
		}
		n = n*10 + d
	}
	return n, true
}

// parseInt reads a decimal that may be negative.
func parseInt(b []byte) (n int64, ok bool) {
	if len(b) > 0 && b[0] == '-' {
		u, ok := parseUint(b[1:], math.MaxInt64)
		return -int64(u), ok
	}
	u, ok := parseUint(b, math.MaxInt64)
	return int64(u), ok
}
