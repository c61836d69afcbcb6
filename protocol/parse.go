package protocol

import "bytes"

const (
	// keyBytesMax is the longest key (protocol.txt, "Keys").
	keyBytesMax = 250

	// lineBytesMax is how long a line other than a multiget may be: as in
	// memcached, more without a line end is not this protocol.
	lineBytesMax = 2048

	// multigetBytesMax bounds the line of get and gets, which memcached does
	// not bound: 30,000 of the longest keys.
	multigetBytesMax = 8 << 20

	// valueBytesMax is the largest length that is taken for one.
	valueBytesMax = 1<<31 - 3

	// itemOverheadBytes is what an item counts for besides key and value when it
	// is held against the item limit, about memcached's header.
	itemOverheadBytes = 64

	// binaryMagic is the first byte of a request of the binary protocol.
	binaryMagic = 0x80
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

// Parser finds the requests in the bytes of one connection.
type Parser struct {
	itemBytesMax int

	swallowBytes int  // still to be dropped
	swallowLine  bool // and then all up to the next line end

	scanned int // bytes of an unfinished line that are known to hold no line end
	needed  int
	keys    [][]byte
	tokens  tokens
}

// NewParser returns a parser that takes items of up to itemBytesMax bytes, key
// and overhead included.
func NewParser(itemBytesMax int) *Parser { return &Parser{itemBytesMax: itemBytesMax} }

// Parse looks at b, which is all that was received and not consumed, and
// describes its first request in req. With Ready, the request takes the first
// consumed bytes. If the caller acts on it, it drops them and calls Consumed;
// otherwise it calls Parse again, later, with the same bytes.
func (p *Parser) Parse(b []byte, req *Request) (consumed int, v Verdict) {
	if p.swallowBytes > 0 || p.swallowLine {
		return p.swallow(b), NeedMore
	}
	if len(b) > 0 && b[0] == binaryMagic {
		return 0, Close
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
	if !p.parseLine(line, req) {
		return 0, Close
	}
	return p.dataBlock(b, end+1, req)
}

// Consumed tells the parser that the request was acted on and its bytes are
// dropped: what does not belong to any request behind them is dropped next.
func (p *Parser) Consumed(req *Request) {
	p.swallowBytes, p.swallowLine = req.swallowBytes, req.swallowLine
}

// BufferBytesNeeded returns, after NeedMore, how many bytes must be buffered
// before the request can be complete: parsing fewer is of no use, and being
// unable to buffer so many would never end.
func (p *Parser) BufferBytesNeeded() int { return p.needed }

// unfinished decides on a line without an end.
func (p *Parser) unfinished(b []byte) Verdict {
	p.scanned = len(b)
	p.needed = len(b) + 1
	limit := lineBytesMax
	if bytes.HasPrefix(b, []byte("get ")) || bytes.HasPrefix(b, []byte("gets ")) {
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
		*req = Request{Reply: replyBadChunk, swallowLine: b[end-1] != '\n'}
		return end, Ready
	}
	req.Value = b[at : end-2]
	return end, Ready
}
