package protocol

// AppendInvalid appends the answer to an Invalid request.
func AppendInvalid(dst []byte, req *Request) []byte { return append(dst, req.Reply...) }

// AppendText appends a successful Binary answer with a text for its body.
func AppendText(dst []byte, f *Form, text string) []byte { return append(dst, text...) }

// AppendStats appends the answer to stats, of which lines are that of Text.
func AppendStats(dst []byte, f *Form, lines []byte) []byte { return append(dst, lines...) }
