package protocol

import (
	"bytes"
	"math"
)

// tokensMax is how many words of a line other than a multiget are examined.
// memcached ignores the words after them, except the last one.
const tokensMax = 8

// The beginnings of lines that are recognised before they are split.
var (
	prefixGet  = []byte("get ")
	prefixGets = []byte("gets ")

	prefixMetaGet = []byte("mg ")
	prefixHTTP    = []byte("HTTP/")
)

// tokens are the words of a line, separated by spaces.
type tokens struct {
	word  [tokensMax][]byte
	count int    // of all words, examined or not
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

// parseLine parses a line without its end; end is the length with it. It reports
// false if the connection must be closed.
func (p *Parser) parseLine(line []byte, end int, req *Request) bool {
	t := &p.tokens
	t.valueBytes = -1
	switch {
	case bytes.HasPrefix(line, prefixGet):
		req.Command = Get
		p.parseKeys(line[len(prefixGet):], req)
		return true
	case bytes.HasPrefix(line, prefixGets):
		req.Command = Gets
		p.parseKeys(line[len(prefixGets):], req)
		return true
	case end < requestBytesMin:
		req.fail(replyBadFormat)
		return true
	case isMeta(line):
		p.parseMeta(line, req)
		return true
	}
	t.split(line)
	if t.count == 0 {
		req.fail(replyError)
		return true
	}
	if line[0] == ' ' {
		// memcached recognises its older commands by their first word and the others
		// by the beginning of the line.
		return p.parseAdmin(req)
	}
	return p.parseCommand(line, req)
}

// parseCommand parses the commands about keys, and those that request information.
func (p *Parser) parseCommand(line []byte, req *Request) bool {
	switch string(p.tokens.word[0]) {
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
	case "version":
		req.Command = Version
	case "stats":
		p.parseStats(line, req)
	case "quit":
		req.Command = Quit
	case "watch":
		req.fail(replyNoWatch)
	default:
		return p.parseAdmin(req)
	}
	return true
}

// parseAdmin parses the commands about the whole server. An unknown command with a
// last word as in "GET / HTTP/1.1" comes from a browser: as in memcached, the
// connection is closed.
func (p *Parser) parseAdmin(req *Request) bool {
	t := &p.tokens
	switch string(t.word[0]) {
	case "flush_all":
		p.parseFlush(req)
	case "cache_memlimit":
		p.parseMemlimit(req)
	case "verbosity":
		req.Command, req.NoReply = Verbosity, p.noReply()
		level, ok := parseUint(t.at(1), math.MaxUint32)
		if req.Delta = level; !ok {
			p.refuse(req, replyBadFormat)
		}
	case "lru_crawler":
		p.parseCrawler(req)
	case "shutdown":
		req.Command = Shutdown
		if t.count > 2 || t.count == 2 && string(t.at(1)) != "graceful" {
			p.refuse(req, replyBadShutdown)
		}
	case "refresh_certs": // whatever follows, as in memcached
		req.Command = RefreshCerts
	case "config":
		if t.count != 3 || string(t.at(1)) != "get" {
			p.refuse(req, replyError)
			break
		}
		req.Command, req.Arg = ConfigGet, t.at(2)
	default:
		if t.count > 1 && bytes.HasPrefix(t.last, prefixHTTP) {
			return false
		}
		p.refuse(req, replyError)
	}
	return true
}
