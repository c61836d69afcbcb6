package protocol

import "bytes"

const (
	// loginLineBytesMin is the shortest line, without its line feed, to which a
	// client that has not authenticated gets an answer.
	loginLineBytesMin = 6

	// loginBytesMax is the longest user and password together that are accepted:
	// MAX_AUTH_REQ_LEN of memcached's proto_text.c.
	loginBytesMax = 16 << 10
)

// The lines that answer a client that has not authenticated.
const (
	replyUnauthenticated = "CLIENT_ERROR unauthenticated\r\n"
	replyLoginTooLong    = "CLIENT_ERROR auth token too long\r\n"
	replyLoginFormat     = "CLIENT_ERROR bad authentication token format\r\n"
	replyLoginEnd        = "CLIENT_ERROR bad command line termination\r\n"
)

// ParseLogin is Parse for a client that has not authenticated. Text has no command for
// authentication, so memcached uses what looks like a set:
//
//	set KEY FLAGS EXPTIME BYTES\r\n
//	USER PASSWORD\r\n
//
// Only BYTES of the line matters. The request is a SASLAuth whose Key is the user and
// whose Value is the password, or it is Invalid: nothing else is parsed.
//
// Binary has its own commands for authentication. Apart from them only version is
// parsed; all others are Invalid once their header is complete, and end the
// connection.
func (p *Parser) ParseLogin(b []byte, req *Request) (consumed int, v Verdict) {
	if p.Swallowing() {
		return p.Parse(b, req)
	}
	if p.language(b) == Binary {
		if p.hungUp || len(b) < headerBytes || b[0] != binaryMagic || opcodes[b[1]].isPublic() {
			return p.Parse(b, req)
		}
		h := readHeader(b)
		form := Form{Codec: Binary, Opcode: h.opcode, Opaque: h.opaque}
		*req = Request{Form: form, Status: StatusAuthFailure, HangUp: true}
		return headerBytes, Ready
	}
	at := bytes.IndexByte(b[min(p.scanned, len(b)):], '\n')
	if at < 0 {
		p.scanned, p.needed = len(b), len(b)+1
		if len(b) > lineBytesMax {
			return 0, Close
		}
		return 0, NeedMore
	}
	at += min(p.scanned, len(b))
	if at < loginLineBytesMin {
		return 0, Close
	}
	*req = Request{}
	size, ok := p.loginBytes(bytes.TrimSuffix(b[:at], []byte{'\r'}))
	at++
	switch {
	case !ok:
		req.fail(replyUnauthenticated)
		return at, Ready
	case size > loginBytesMax:
		req.fail(replyLoginTooLong)
		return at, Ready
	}
	end := at + size + 2
	if len(b) < end {
		p.scanned, p.needed = at-1, end
		return 0, NeedMore
	}
	req.login(b[at:end])
	return end, Ready
}

// isPublic reports whether the command needs no authentication.
func (o *opcode) isPublic() bool {
	return o.command == SASLList || o.command == SASLAuth || o.command == Version
}

// loginBytes returns the length of the data block that a line declares.
func (p *Parser) loginBytes(line []byte) (int, bool) {
	t := &p.tokens
	t.split(line)
	size, ok := parseUint(t.at(4), 1<<32-1)
	return int(size), ok && bytes.HasPrefix(line, []byte("set"))
}

// login parses the data block, with its end.
func (req *Request) login(block []byte) {
	text, ended := bytes.CutSuffix(block, []byte("\r\n"))
	user, password, found := bytes.Cut(text, []byte{' '})
	switch {
	case !ended:
		req.fail(replyLoginEnd)
	case !found:
		req.fail(replyLoginFormat)
	default:
		req.Command, req.Key, req.Value = SASLAuth, user, password
	}
}
