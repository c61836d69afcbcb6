package protocol

import (
	"bytes"

	"raftcached/internal/item"
)

const (
	// lineBytesMax is how long a line other than a multiget may be: as in
	// memcached, more without a line end is not this protocol.
	lineBytesMax = 2048

	// multigetBytesMax bounds the line of get and gets, which memcached does
	// not bound: 4,000 of the longest keys. gnet copies what came of a line each
	// time that more comes, so a longer one would keep its event loop busy.
	multigetBytesMax = 1 << 20

	// valueBytesMax is the largest length that is taken for one.
	valueBytesMax = 1<<31 - 3

	// requestBytesMin is the shortest line, its end included, that memcached
	// looks at.
	requestBytesMin = 4

	// keysKept is for how many keys the parser keeps room from one multiget to
	// the next.
	keysKept = 1024

	// slabClasses is the number of slab classes that memcached has.
	slabClasses = 64

	// memlimitMaxMegabytes is the largest memory limit that memcached believes
	// to be one.
	memlimitMaxMegabytes = 1_000_000_000

	// mebibyte is what memcached calls a megabyte.
	mebibyte = 1 << 20
)

// The lines that answer input which is no valid request.
const (
	replyError         = "ERROR\r\n"
	replyBadFormat     = "CLIENT_ERROR bad command line format\r\n"
	replyBadChunk      = "CLIENT_ERROR bad data chunk\r\n"
	replyBadDelta      = "CLIENT_ERROR invalid numeric delta argument\r\n"
	replyBadExptime    = "CLIENT_ERROR invalid exptime argument\r\n"
	replyBadStatDetail = "CLIENT_ERROR usage: stats detail on|off|dump\r\n"
	replyBadShutdown   = "CLIENT_ERROR invalid shutdown mode\r\n"
	replyBadDump       = "CLIENT_ERROR bad command line\r\n"
	replyNoWatch       = "CLIENT_ERROR watch commands not allowed\r\n"
	replyMemlimitBytes = "MEMLIMIT_ADJUST_FAILED input value is megabytes not bytes\r\n"
	replyBadSlab       = "CLIENT_ERROR Illegal slab id\r\n"
)

// Verdict is what Parse makes of the bytes it was given.
type Verdict uint8

// The verdicts.
const (
	// NeedMore: no request is complete. The bytes that Parse counts as consumed,
	// if any, are to be dropped, and Parse called again if others follow them.
	NeedMore Verdict = iota
	// Ready: a request is there.
	Ready
	// Close: the connection is to be closed, without an answer.
	Close
)

// Parser finds the requests in the bytes of one connection. It keeps no bytes:
// the caller buffers what was received, and drops what Parse counted.
//
// A request may be looked at without being acted on: unless the caller calls
// Consumed, Parse with the same first bytes finds the same request again.
type Parser struct {
	itemBytesMax int

	// Of the bytes that come next on the connection, swallowBytes are dropped,
	// and then all up to a line end if swallowLine. They change with consumed
	// bytes only.
	swallowBytes int
	swallowLine  bool

	// scanned is how many bytes of the unfinished line at the front of the input
	// are known to hold no line end. It spares scanning them again when more of
	// the line comes, and is zero whenever the front may have changed.
	scanned int

	// begun and codec tell what the first byte of the connection said. Text stands
	// for Meta too.
	begun  bool
	codec  Codec
	hungUp bool // a request was acted on that ends the connection

	needed int      // what BufferBytesNeeded returns
	keys   [][]byte // Request.Keys
	tokens tokens   // of the line at hand

	metaKey [item.KeyBytesMax / 4 * 3]byte // Request.Key if it was base64
}

// NewParser returns a parser that takes items of up to itemBytesMax bytes, key
// and memcached's header included.
func NewParser(itemBytesMax int) *Parser { return &Parser{itemBytesMax: itemBytesMax} }

// Parse looks for the first request in b, which must begin with the first byte of
// the connection that was not consumed, and hold at least what it held before.
//
// With Ready, req is the request, in the first consumed bytes of b. If the caller
// acts on it, it calls Consumed and drops these bytes; else it may call Parse
// again, at any time, with the same bytes and more.
//
// With NeedMore, the consumed bytes belong to no request and are to be dropped;
// if there are any, what follows them is to be parsed at once. With Close, the
// connection cannot go on.
func (p *Parser) Parse(b []byte, req *Request) (consumed int, v Verdict) {
	if p.Swallowing() {
		return p.swallow(b), NeedMore
	}
	if p.language(b) == Binary {
		return p.parseBinary(b, req)
	}
	end := bytes.IndexByte(b[min(p.scanned, len(b)):], '\n')
	if end < 0 {
		return 0, p.unfinished(b)
	}
	end += min(p.scanned, len(b))
	p.scanned = 0
	line := b[:end]
	if end > 0 && b[end-1] == '\r' {
		line = b[:end-1]
	}
	*req = Request{}
	if !p.parseLine(line, end+1, req) {
		return 0, Close
	}
	return p.dataBlock(b, end+1, req)
}

// Consumed tells the parser that the request was acted on and its bytes are
// dropped. If a data block that nobody wants follows, or the rest of a malformed
// one, Parse has it dropped next.
func (p *Parser) Consumed(req *Request) {
	p.scanned = 0
	p.swallowBytes, p.swallowLine = req.swallowBytes, req.swallowLine
	p.hungUp = req.HangUp
}

// language returns what the connection speaks, of which b is the next input. The
// first byte of all decides, as in memcached.
func (p *Parser) language(b []byte) Codec {
	if !p.begun && len(b) > 0 {
		p.begun = true
		if b[0] == binaryMagic {
			p.codec = Binary
		}
	}
	return p.codec
}

// Swallowing reports whether bytes are awaited that will be dropped: the client
// is not done with its request although it was answered.
func (p *Parser) Swallowing() bool { return p.swallowBytes > 0 || p.swallowLine }

// BufferBytesNeeded returns, after NeedMore, how many bytes must be buffered
// before the request can be complete: parsing fewer is of no use, and being
// unable to buffer so many would never end.
func (p *Parser) BufferBytesNeeded() int { return p.needed }

// unfinished decides on a line without an end.
func (p *Parser) unfinished(b []byte) Verdict {
	p.scanned = len(b)
	p.needed = len(b) + 1
	limit := lineBytesMax
	if bytes.HasPrefix(b, prefixGet) || bytes.HasPrefix(b, prefixGets) {
		limit = multigetBytesMax
	}
	if len(b) > limit {
		return Close
	}
	return NeedMore
}

// swallow returns how many bytes of b are to be dropped.
func (p *Parser) swallow(b []byte) int {
	n := min(len(b), p.swallowBytes)
	p.swallowBytes -= n
	if p.swallowBytes == 0 && p.swallowLine {
		if end := bytes.IndexByte(b[n:], '\n'); end >= 0 {
			p.swallowLine = false
			return n + end + 1
		}
		n = len(b)
	}
	p.needed = 1
	return n
}

// dataBlock completes a request whose line ends at offset at of b: a storage
// command has a data block of its declared length and a line end.
func (p *Parser) dataBlock(b []byte, at int, req *Request) (consumed int, v Verdict) {
	size := p.tokens.valueBytes
	if size < 0 {
		return at, Ready
	}
	if req.Command == Invalid || req.TooLarge {
		req.swallowBytes = size + 2
		return at, Ready
	}
	end := at + size + 2
	if len(b) < end {
		p.needed = end
		return 0, NeedMore
	}
	if b[end-2] != '\r' || b[end-1] != '\n' {
		p.refuse(req, replyBadChunk)
		req.swallowLine = b[end-1] != '\n'
		return end, Ready
	}
	req.Value = b[at : end-2]
	return end, Ready
}
