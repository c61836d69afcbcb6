package protocol

import (
	"bytes"

	"raftcached/internal/item"
)

const (
	// lineBytesMax is how long a line other than a multiget may be. As in
	// memcached, more bytes without a line end are not accepted as this protocol.
	lineBytesMax = 2048

	// multigetBytesMax is the longest line of get and gets, enough for 4,000 keys of
	// the largest size. memcached has no such bound. An incomplete line is copied
	// each time that more of it arrives, so a longer one would keep its event loop
	// busy.
	multigetBytesMax = 1 << 20

	// valueBytesMax is the largest length that is accepted as the length of a value.
	valueBytesMax = 1<<31 - 3

	// requestBytesMin is the shortest line, its end included, that memcached parses.
	requestBytesMin = 4

	// keysMin and keysKept are the least and the largest number of keys for which a Room
	// keeps room between requests.
	keysMin  = 64
	keysKept = 1024

	// slabClasses is the number of slab classes that memcached has.
	slabClasses = 64

	// memlimitMaxMegabytes is the largest memory limit that memcached accepts as a
	// number of megabytes.
	memlimitMaxMegabytes = 1_000_000_000

	// mebibyte is what memcached calls a megabyte.
	mebibyte = 1 << 20
)

// The lines that answer invalid requests.
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

// Verdict is the result of Parse.
type Verdict uint8

// The verdicts.
const (
	// NeedMore: no request is complete. The caller drops the bytes that Parse counts
	// as consumed, if any, and calls Parse again if others follow them.
	NeedMore Verdict = iota
	// Ready: a request is complete.
	Ready
	// Close: the caller closes the connection, without an answer.
	Close
)

// Parser finds the requests in the bytes of one connection. It keeps no bytes: the
// caller buffers the received bytes, and drops those that Parse has consumed.
//
// A caller may look at a request without executing it: unless it calls Consumed,
// Parse returns the same request for the same first bytes again.
type Parser struct {
	itemBytesMax int

	// The next swallowBytes of the connection are dropped, and then everything up to
	// a line end if swallowLine. Both change only when bytes are consumed.
	swallowBytes int
	swallowLine  bool

	// scanned is the number of bytes of the unfinished line at the front of the input
	// that are known to contain no line end. They are not scanned again when more of
	// the line arrives. It is zero whenever the front may have changed.
	scanned int

	// begun and codec hold what the first byte of the connection has selected. Text
	// stands for Meta too.
	begun  bool
	codec  Codec
	hungUp bool // a request that ends the connection was executed

	needed int // what BufferBytesNeeded returns
	room   *Room
	tokens tokens // of the current line

	metaKey [item.KeyBytesMax / 4 * 3]byte // Request.Key if it was base64
}

// NewParser returns a parser that accepts items of up to itemBytesMax bytes,
// including the key and memcached's header. It shares a room with others, or, of nil, has
// one of its own.
func NewParser(itemBytesMax int, shared *Room) *Parser {
	if shared == nil {
		shared = new(Room)
	}
	return &Parser{itemBytesMax: itemBytesMax, room: shared}
}

// Room is what parsers need for one request, and can share if only one at a time is at work:
// what one has put into Request.Keys is valid until another one parses. The keys of one
// request may take twelve times as much as its line. The zero value is empty.
type Room struct{ keys [][]byte }

// leave gives back what an unusually large request took.
func (r *Room) leave() {
	if cap(r.keys) > keysKept {
		r.keys = nil
	}
}

// Parse finds the first request in b. b must begin with the first byte of the
// connection that was not consumed, and contain at least what it contained before.
//
// With Ready, req is the request, in the first consumed bytes of b. If the caller
// executes it, it calls Consumed and drops these bytes. Otherwise it may call Parse
// again at any time, with the same bytes and possibly more.
//
// With NeedMore, the consumed bytes belong to no request and must be dropped; if
// there are any, the caller parses the following bytes immediately. With Close, the
// connection cannot continue.
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

// Consumed tells the parser that the request was executed and its bytes are dropped.
// If an unwanted data block follows, or the rest of a malformed one, the next Parse
// consumes it.
func (p *Parser) Consumed(req *Request) {
	p.scanned = 0
	p.swallowBytes, p.swallowLine = req.swallowBytes, req.swallowLine
	p.hungUp = req.HangUp
	p.room.leave()
}

// language returns the protocol of the connection; b is its next input. The first
// byte of the connection selects it, as in memcached.
func (p *Parser) language(b []byte) Codec {
	if !p.begun && len(b) > 0 {
		p.begun = true
		if b[0] == binaryMagic {
			p.codec = Binary
		}
	}
	return p.codec
}

// Swallowing reports whether bytes that will be dropped are still expected: the
// request was answered, but the client has not sent all of it.
func (p *Parser) Swallowing() bool { return p.swallowBytes > 0 || p.swallowLine }

// BufferBytesNeeded returns, after NeedMore, how many bytes must be buffered before
// the request can be complete. Parsing fewer bytes is useless, and a caller that
// cannot buffer so many would wait forever.
func (p *Parser) BufferBytesNeeded() int { return p.needed }

// unfinished returns the verdict on a line without an end.
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

// swallow returns how many bytes of b must be dropped.
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

// dataBlock completes the request whose line ends at offset at of b. In a storage
// command a data block of the declared length and a line end follow.
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
