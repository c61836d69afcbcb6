package protocol

import "bytes"

// AheadKeys collects the keys of the gets that b begins with, as far as their
// lines are complete, without looking whether they are valid: whoever will look
// the keys up can fetch them from memory together. It appends at most as many as
// keys has room for, and returns how many bytes of b it has seen.
func AheadKeys(b []byte, keys [][]byte) (_ [][]byte, span int) {
	for {
		line := b[span:]
		switch {
		case bytes.HasPrefix(line, prefixGet):
			line = line[len(prefixGet):]
		case bytes.HasPrefix(line, prefixGets):
			line = line[len(prefixGets):]
		default:
			return keys, span
		}
		end := bytes.IndexByte(line, '\n')
		if end < 0 {
			return keys, span
		}
		had := len(keys)
		rest := bytes.TrimSuffix(line[:end], []byte{'\r'})
		for word, rest := nextWord(rest); word != nil; word, rest = nextWord(rest) {
			if len(keys) == cap(keys) {
				return keys[:had], span
			}
			keys = append(keys, word)
		}
		span = len(b) - len(line) + end + 1
	}
}
