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

// WriteAhead reports whether the first request of b that is no get, text or binary, is a write.
// It does not check requests, so that it may be wrong about invalid ones.
func WriteAhead(b []byte) bool {
	for len(b) > 0 {
		if b[0] == binaryMagic {
			if len(b) < headerBytes {
				return false
			}
			if c := opcodes[b[1]].command; c != MetaGet {
				return c.IsWrite()
			}
			b = b[min(len(b), headerBytes+readHeader(b).body):]
			continue
		}
		if !bytes.HasPrefix(b, prefixGet) && !bytes.HasPrefix(b, prefixGets) {
			word, _, _ := bytes.Cut(b[:min(len(b), writeWordMax+1)], []byte{' '})
			return writeWords[string(word)]
		}
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			return false
		}
		b = b[end+1:]
	}
	return false
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
