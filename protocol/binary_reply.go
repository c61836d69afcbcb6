package protocol

import "encoding/binary"

// The status numbers of packets (protocol_binary.txt, "Response Status"; the last
// three are from later servers than memcached).
const (
	codeSuccess     = 0x00
	codeNotFound    = 0x01
	codeExists      = 0x02
	codeTooLarge    = 0x03
	codeInvalid     = 0x04
	codeNotStored   = 0x05
	codeNonNumeric  = 0x06
	codeAuth        = 0x20
	codeUnknown     = 0x81
	codeOutOfMemory = 0x82
	codeInternal    = 0x84 // the outcome is unknown, or the server is at fault
	codeTemporary   = 0x86 // there was no effect; the client may try again
)

// binaryError is a status in the form of packets.
type binaryError struct {
	code uint16
	text string
}

// binaryErrors holds the errors by their status, in memcached's words. Errors that
// memcached does not have use the words of replyLines.
var binaryErrors = [...]binaryError{
	StatusNotStored:      {codeNotStored, "Not stored."},
	StatusExists:         {codeExists, "Data exists for key."},
	StatusNotFound:       {codeNotFound, "Not found"},
	StatusMiss:           {codeNotFound, "Not found"},
	StatusNonNumeric:     {codeNonNumeric, "Non-numeric server-side value for incr or decr"},
	StatusTooLarge:       {codeTooLarge, "Too large."},
	StatusOutOfMemory:    {codeOutOfMemory, "Out of memory"},
	StatusFilling:        {code: codeTemporary},
	StatusMalformed:      {code: codeInternal},
	StatusNoLeader:       {code: codeTemporary},
	StatusOutcomeUnknown: {code: codeInternal},
	StatusTimeout:        {code: codeTemporary},
	StatusRepairing:      {code: codeTemporary},
	StatusNoMajority:     {code: codeTemporary},
	StatusRemoved:        {code: codeTemporary},
	StatusDiskStalled:    {code: codeTemporary},
	StatusBusy:           {code: codeTemporary},
	StatusUnknownCommand: {codeUnknown, "Unknown command"},
	StatusInvalid:        {codeInvalid, "Invalid arguments"},
	StatusAuthFailure:    {codeAuth, "Auth failure."},
}

// What memcached answers instead of "Out of memory" if it knows more.
const (
	textStoringOutOfMemory  = "Out of memory allocating item"
	textCountingOutOfMemory = "Out of memory incrementing value"
)

// appendBinaryReply appends the packet that answers a binary command. Commands that
// end in Q omit it: on a miss if they get, on success otherwise.
func appendBinaryReply(dst []byte, c Command, f *Form, r *Result) []byte {
	h := header{opcode: f.Opcode, opaque: f.Opaque}
	switch r.Status {
	case StatusNone:
		return dst
	case StatusHit:
		h.cas = r.CAS
		h.extras, h.key = 4, len(f.Key)
		h.body = h.extras + h.key + len(r.Value)
		dst = appendHeader(dst, binaryReplyMagic, codeSuccess, &h)
		dst = binary.BigEndian.AppendUint32(dst, r.Flags)
		dst = append(dst, f.Key...)
		return append(dst, r.Value...)
	case StatusMiss, StatusNotFound:
		if c == MetaGet || c == MetaGat {
			return appendBinaryMiss(dst, f)
		}
	case StatusStored, StatusDeleted, StatusTouched, StatusOK, StatusNumber:
		if f.Quiet {
			return dst
		}
		return appendBinarySuccess(dst, &h, r)
	}
	code, text := binaryErrorOf(c, r.Status)
	return appendBinaryText(dst, f, code, text)
}

// appendBinaryMiss appends the answer to a get that finds nothing: the key if the
// command requests it, otherwise words.
func appendBinaryMiss(dst []byte, f *Form) []byte {
	switch {
	case f.Quiet:
		return dst
	case len(f.Key) == 0:
		return appendBinaryText(dst, f, codeNotFound, binaryErrors[StatusNotFound].text)
	}
	h := header{opcode: f.Opcode, opaque: f.Opaque, key: len(f.Key), body: len(f.Key)}
	dst = appendHeader(dst, binaryReplyMagic, codeNotFound, &h)
	return append(dst, f.Key...)
}

// appendBinarySuccess appends the answer to a change.
func appendBinarySuccess(dst []byte, h *header, r *Result) []byte {
	switch r.Status {
	case StatusStored:
		h.cas = r.CAS
	case StatusTouched:
		h.cas = r.CAS
		h.extras, h.body = 4, 4
		dst = appendHeader(dst, binaryReplyMagic, codeSuccess, h)
		return binary.BigEndian.AppendUint32(dst, r.Flags)
	case StatusNumber:
		h.cas = r.CAS
		h.body = 8
		dst = appendHeader(dst, binaryReplyMagic, codeSuccess, h)
		return binary.BigEndian.AppendUint64(dst, r.Number)
	}
	return appendHeader(dst, binaryReplyMagic, codeSuccess, h)
}

// binaryErrorOf returns the error of a failed command in the form of packets.
func binaryErrorOf(c Command, s Status) (code uint16, text string) {
	e := binaryErrors[StatusInvalid]
	if int(s) < len(binaryErrors) && binaryErrors[s].code != codeSuccess {
		e = binaryErrors[s]
	}
	switch {
	case s == StatusNotStored && c == Add:
		e = binaryErrors[StatusExists]
	case s == StatusNotStored && c == Replace:
		e = binaryErrors[StatusNotFound]
	case s == StatusOutOfMemory && (c == Incr || c == Decr):
		e.text = textCountingOutOfMemory
	case s == StatusOutOfMemory && c.IsStore():
		e.text = textStoringOutOfMemory
	case e.text == "":
		const prefix, end = "SERVER_ERROR ", "\r\n"
		line := replyLines[s]
		e.text = line[len(prefix) : len(line)-len(end)]
	}
	return e.code, e.text
}

// appendBinaryText appends a packet with a text: an error, unless code is success.
func appendBinaryText(dst []byte, f *Form, code uint16, text string) []byte {
	h := header{opcode: f.Opcode, opaque: f.Opaque, body: len(text)}
	dst = appendHeader(dst, binaryReplyMagic, code, &h)
	return append(dst, text...)
}

// AppendInvalid appends the answer to an Invalid request.
func AppendInvalid(dst []byte, req *Request) []byte {
	if req.Form.Codec != Binary {
		return append(dst, req.Reply...)
	}
	code, text := binaryErrorOf(Invalid, req.Status)
	return appendBinaryText(dst, &req.Form, code, text)
}

// AppendText appends the packet that answers a binary command such as version with a
// text.
func AppendText(dst []byte, f *Form, text string) []byte {
	return appendBinaryText(dst, f, codeSuccess, text)
}
