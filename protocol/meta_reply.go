package protocol

// appendMetaReply appends the answer to a meta command.
func appendMetaReply(dst []byte, c Command, f *Form, r *Result) []byte {
	return AppendReply(dst, c, r)
}
