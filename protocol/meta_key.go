package protocol

import "encoding/base64"

// base64Alphabet is the alphabet of RFC 4648, section 4.
const base64Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"

// base64Values holds the value of each letter plus 1; 0 means not a letter.
var base64Values = func() (values [256]byte) {
	for i, c := range []byte(base64Alphabet) {
		values[c] = byte(i) + 1
	}
	return values
}()

// decodeKey appends the key that was sent as base64. Like memcached's decoder it
// ignores bytes outside of the alphabet, and ends at the first padding;
// encoding/base64 refuses both.
func decodeKey(dst, src []byte) (key []byte, ok bool) {
	letters := 0
	for _, c := range src {
		if base64Values[c] != 0 || c == '=' {
			letters++
		}
	}
	if letters%4 != 0 {
		return nil, false
	}
	var group uint32
	count, padding := 0, 0
	for _, c := range src {
		switch {
		case base64Values[c] != 0:
			group = group<<6 | uint32(base64Values[c]-1)
		case c == '=':
			group <<= 6
			padding++
		default:
			continue
		}
		if count++; count%4 != 0 {
			continue
		}
		dst = append(dst, byte(group>>16), byte(group>>8), byte(group))
		if padding > 2 {
			return nil, false
		}
		if padding > 0 {
			dst = dst[:len(dst)-padding]
			break
		}
	}
	return dst, len(dst) > 0
}

// appendKey appends a key in the encoding of the form.
func (f *Form) appendKey(dst, key []byte) []byte {
	if f.Base64 {
		return base64.StdEncoding.AppendEncode(dst, key)
	}
	return append(dst, key...)
}
