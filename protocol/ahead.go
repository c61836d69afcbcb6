package protocol

import "bytes"

// AheadKeys collects the keys of the complete reads at the beginning of b, without
// checking whether they are valid, so that the caller can fetch them from memory
// together. It appends at most as many as keys has room for, and returns how many
// bytes of b it has examined.
func AheadKeys(b []byte, keys [][]byte) (_ [][]byte, span int) {
	for {
		had := len(keys)
		var n int
		if rest := b[span:]; len(rest) > 0 && rest[0] == binaryMagic {
			keys, n = aheadPacket(rest, keys)
		} else {
			keys, n = aheadLine(rest, keys)
		}
		if n == 0 {
			return keys[:had], span
		}
		span += n
	}
}

// WriteAhead reports whether the first request of b that is no get, text or binary, is a write,
// and how many bytes of gets are before what has told that, or is not there yet.
// It does not check requests, so that it may be wrong about invalid ones.
func WriteAhead(b []byte) (span int, write bool) {
	for span < len(b) {
		rest := b[span:]
		if rest[0] == binaryMagic {
			if len(rest) < headerBytes {
				return span, false
			}
			if c := opcodes[rest[1]].command; c != MetaGet {
				return span, c.IsWrite()
			}
			n := headerBytes + readHeader(rest).body
			if n > len(rest) {
				return span, false
			}
			span += n
			continue
		}
		if !bytes.HasPrefix(rest, prefixGet) && !bytes.HasPrefix(rest, prefixGets) {
			word, _, _ := bytes.Cut(rest[:min(len(rest), writeWordMax+1)], []byte{' '})
			return span, writeWords[string(word)]
		}
		end := bytes.IndexByte(rest, '\n')
		if end < 0 {
			return span, false
		}
		span += end + 1
	}
	return span, false
}

// writeWords are the first words of writes, and writeWordMax is the length of the longest.
var writeWords = map[string]bool{
	"set": true, "add": true, "replace": true, "append": true, "prepend": true, "cas": true, "incr": true, "decr": true,
	"delete": true, "touch": true, "gat": true, "gats": true, "ms": true, "md": true, "ma": true, "flush_all": true,
}

const writeWordMax = len("flush_all")

// aheadLine appends the keys of the line at the beginning of b and returns its length,
// or 0 if it is not a complete read or has too many keys.
func aheadLine(b []byte, keys [][]byte) ([][]byte, int) {
	line, one := b, false
	switch {
	case bytes.HasPrefix(b, prefixGet):
		line = line[len(prefixGet):]
	case bytes.HasPrefix(b, prefixGets):
		line = line[len(prefixGets):]
	case bytes.HasPrefix(b, prefixMetaGet):
		line, one = line[len(prefixMetaGet):], true
	default:
		return keys, 0
	}
	end := bytes.IndexByte(line, '\n')
	if end < 0 {
		return keys, 0
	}
	rest := bytes.TrimSuffix(line[:end], []byte{'\r'})
	for word, rest := nextWord(rest); word != nil; word, rest = nextWord(rest) {
		if len(keys) == cap(keys) {
			return keys, 0
		}
		if keys = append(keys, word); one {
			break
		}
	}
	return keys, len(b) - len(line) + end + 1
}

// aheadPacket does what aheadLine does, for Binary.
func aheadPacket(b []byte, keys [][]byte) ([][]byte, int) {
	if len(b) < headerBytes || opcodes[b[1]].command != MetaGet || len(keys) == cap(keys) {
		return keys, 0
	}
	h := readHeader(b)
	if h.extras != 0 || h.key == 0 || h.key != h.body || len(b) < headerBytes+h.key {
		return keys, 0
	}
	return append(keys, b[headerBytes:headerBytes+h.key]), headerBytes + h.key
}
