package protocol

// Codec is the language in which a client asks and is answered.
type Codec uint8

// The languages of one connection. Text and Meta are mixed freely; a connection
// that begins with the magic byte of the binary protocol speaks Binary only.
const (
	Text   Codec = iota // the classic text commands
	Meta                // text, "Meta Commands" of protocol.txt
	Binary              // protocol_binary.txt
)

// Form is what a request says of its answer rather than of the cache. The zero
// Form is that of the classic text commands. Its slices alias the request's
// input: who keeps the form until the result is there copies them.
type Form struct {
	Codec Codec

	// Quiet leaves out what the codec's quiet mode leaves out: for Meta flag q,
	// for Binary the commands that end in Q.
	Quiet bool

	// Base64 tells that a Meta key was base64 (flag b), and Key is decoded.
	Base64 bool

	// Value asks Meta for the value (flag v), MatchCAS for none if the item has
	// this cas unique (flag C of mg).
	Value    bool
	HasMatch bool
	MatchCAS uint64

	// Flags are the flags of a Meta request as it was sent: what stands behind the
	// key, or behind the length of ms, with its blanks. What is to be returned is
	// returned in their order.
	Flags []byte

	// SizeBytes is the length of ms's data block, which flag s tells if nothing
	// was stored.
	SizeBytes int

	Opcode uint8  // Binary: that of the request, which the answer repeats
	Opaque uint32 // Binary: likewise

	// Key is what Meta's flag k, ME, and Binary's getk repeat; nil if nothing does.
	Key []byte
}

// AppendAnswer appends what answers a command with the given result, in the given
// form. A quiet request may have no answer.
func AppendAnswer(dst []byte, c Command, f *Form, r *Result) []byte {
	switch f.Codec {
	case Meta:
		return appendMetaReply(dst, c, f, r)
	case Binary:
		return appendBinaryReply(dst, c, f, r)
	default:
		return AppendReply(dst, c, r)
	}
}
