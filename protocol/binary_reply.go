package protocol

// appendBinaryReply appends the packet that answers a binary command.
func appendBinaryReply(dst []byte, c Command, f *Form, r *Result) []byte {
	return AppendReply(dst, c, r)
}
