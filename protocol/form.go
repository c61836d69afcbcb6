package protocol

// Codec is the protocol of a request and its answer.
type Codec uint8

// The protocols. Text and Meta requests may be mixed on a connection. A connection
// that begins with the magic byte of the binary protocol accepts only Binary.
const (
	Text   Codec = iota // the classic text commands
	Meta                // text, "Meta Commands" of protocol.txt
	Binary              // protocol_binary.txt
)

// Form is what a request specifies about its answer, not about the cache. The zero
// Form is that of the classic text commands. Its slices alias the request's input: a
// caller that keeps the form until the result arrives must copy them.
type Form struct {
	Codec Codec

	// Quiet omits the answers that the codec's quiet mode omits: flag q of Meta, and
	// the commands of Binary that end in Q.
	Quiet bool

	// Base64 means that a Meta key was in base64 (flag b), and that Key is decoded.
	Base64 bool

	// Value requests the value (flag v of Meta). MatchCAS omits it if the item has
	// this cas unique (flag C of mg).
	Value    bool
	HasMatch bool
	MatchCAS uint64

	// Flags are the flags of a Meta request as they were sent: the text after the key,
	// or after the length of ms, with its spaces. What is returned is returned in
	// their order.
	Flags []byte

	// SizeBytes is the length of ms's data block, which flag s returns if nothing was
	// stored.
	SizeBytes int

	Opcode uint8  // Binary: of the request; the answer repeats it
	Opaque uint32 // Binary: the same

	// Key is the key that flag k of Meta, ME, and getk of Binary repeat; nil if the
	// answer repeats none.
	Key []byte
}

// AppendAnswer appends the answer to a command with the given result, in the given
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
