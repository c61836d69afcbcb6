package main

import (
	"encoding/base64"
	"fmt"
	"strings"
)

// metaFlags are the flags of each meta command (protocol.txt, "Meta Commands").
// A letter that is listed twice is chosen twice as often.
var metaFlags = map[string]string{
	"mg": "bcfhkklOqstvvvuCENRT",
	"ms": "bckOqsCEFITMN",
	"md": "bkOqCEITx",
	"ma": "bckkOqtvvvCENJDTM",
}

// metaCommand returns a meta command, valid or almost valid.
func (g *generator) metaCommand() command {
	switch g.rng.IntN(24) {
	case 0, 1, 2, 3, 4, 5, 6, 7, 8:
		g.reads = true
		return g.metaRequest("mg", "")
	case 9, 10, 11, 12, 13, 14:
		return g.metaStore()
	case 15, 16, 17:
		return g.metaRequest("md", "")
	case 18, 19, 20:
		if g.large {
			return literal("mn\r\n")
		}
		g.count = true
		return g.metaRequest("ma", "")
	case 21:
		return literal("mn%s\r\n", pick(g, "", "", " x", " q k Ox"))
	case 22:
		return literal("me %s\r\n", g.key())
	default:
		return g.malformedMeta()
	}
}

// metaRequest returns a request with flags; behind is the data block after the
// line.
func (g *generator) metaRequest(verb, between string, behind ...string) command {
	key, flags := g.key(), g.comparable(verb, g.flagSet(verb))
	if strings.ContainsRune(flags, 'b') {
		key = base64.StdEncoding.EncodeToString([]byte(key))
		if g.oneIn(30) {
			key = pick(g, "a", "====", "YQ", "YQ=", "Y!==", key+"=")
		}
	}
	c := command{head: []byte(verb + " " + key + between), cas: noCAS}
	for _, letter := range flags {
		if letter == '-' && verb == "ma" {
			c.tail = append(c.tail, " MD"...)
			continue
		}
		if letter == 'C' && c.cas == noCAS && !g.oneIn(12) {
			c.head = append(append(c.head, c.tail...), " C"...)
			c.cas, c.tail = g.rng.IntN(4), nil
			continue
		}
		c.tail = append(c.tail, ' ')
		c.tail = append(c.tail, string(letter)+g.token(verb, letter)...)
	}
	c.tail = append(c.tail, "\r\n"+strings.Join(behind, "")...)
	return c
}

// flagSet returns letters in random order, rarely with an invalid one.
func (g *generator) flagSet(verb string) string {
	all := metaFlags[verb]
	var flags []byte
	for range min(g.rng.IntN(8), g.rng.IntN(8)) {
		letter := all[g.rng.IntN(len(all))]
		if strings.IndexByte(string(flags), letter) < 0 || g.oneIn(40) {
			flags = append(flags, letter)
		}
	}
	if g.oneIn(60) {
		const others = "ABGHKQSUVWXYZadegijmnoprwyz"
		flags = append(flags, pick(g, others[g.rng.IntN(len(others))], 'q', 'v', 'I', 'D', 'S', 'P', 'L'))
	}
	return string(flags)
}

// comparable changes flags whose combination is answered differently on purpose: see
// notGenerated.
func (g *generator) comparable(verb, flags string) string {
	has := func(letters string) bool { return strings.ContainsAny(flags, letters) }
	switch {
	case verb == "ma" && has("T") && has("N") && has("t"):
		return strings.NewReplacer("T", "", "E", "").Replace(flags)
	case verb == "ma" && has("TE") && has("M"):
		return strings.NewReplacer("T", "", "E", "").Replace(flags)
	case verb == "ma" && has("TE"):
		return flags + "-"
	case has("T") && has("N") && has("t"):
		return strings.ReplaceAll(flags, "N", "")
	}
	return flags
}

// token returns the token after a flag's letter. Recache times are far from times to
// live.
func (g *generator) token(verb string, letter rune) string {
	if g.oneIn(50) {
		return pick(g, "", "x", "-1", "1.5", "99999999999999999999", "0")
	}
	switch letter {
	case 'O':
		long := pick(g, 31, 32, 33) // protocol.txt: up to 32, the program: 31
		if verb == "mg" || verb == "ma" {
			long = 31
		}
		return strings.Repeat("o", pick(g, 1, 1, 5, 30, long))
	case 'T', 'N':
		return g.exptime()
	case 'R':
		return pick(g, "30", "500", "50000", "2000000", "-1", "0")
	case 'E':
		// Far above what either server counts to, so that the order is the same.
		return fmt.Sprint(uint64(1)<<40 + uint64(g.rng.IntN(1000)))
	case 'C':
		return pick(g, "0", "1", "1", "18446744073709551615")
	case 'F':
		return g.flags()
	case 'M':
		return g.mode(verb)
	case 'J', 'D':
		return pick(g, "0", "1", "5", "10", "18446744073709551615")
	case 'P', 'L':
		return "/path"
	}
	if g.oneIn(100) {
		return "7" // a letter that has no token
	}
	return ""
}

func (g *generator) mode(verb string) string {
	if verb == "ma" {
		return pick(g, "I", "+", "D", "-", "i", "d", "INCR", "decr", "x")
	}
	return pick(g, "E", "A", "P", "R", "S", "A", "P", "e", "set", "append", "x")
}

func (g *generator) metaStore() command {
	value := g.value()
	c := g.metaRequest("ms", fmt.Sprintf(" %d", len(value)), value, "\r\n")
	if strings.Contains(string(c.head)+string(c.tail), tooLongOpaque) {
		c.tail = append(c.tail, g.another()...)
	}
	return c
}

// tooLongOpaque is in every ms that is refused for its opaque.
var tooLongOpaque = strings.Repeat("o", 32)

// another stores an item that nothing reads. It follows an ms that memcached refuses
// at its end: the next item gets the cas unique of that ms.
func (g *generator) another() string { return "add " + g.keys[0] + "another 0 -1 0\r\n\r\n" }

func (g *generator) malformedMeta() command {
	g.reads, g.count = true, true // some of them do
	key, tooLong := g.key(), strings.Repeat("k", keyBytesMax+1)
	switch g.rng.IntN(11) {
	case 0:
		return literal("ms %s 1 c k\r\nx\r\n", tooLong)
	case 1:
		return literal("%s %s v k\r\n", pick(g, "mg", "md", "ma", "me"), tooLong)
	case 2: // longer than declared
		return literal("ms %s %d k\r\nzzzzz%s\r\n%s", key, g.rng.IntN(4), strings.Repeat("z", g.rng.IntN(100)), g.another())
	case 3:
		return literal("ms %s %s\r\n", key, pick(g, "S1", "x", "-1", "", "2147483646", "99999999999", "S1 k"))
	case 4:
		return literal("%s\r\n", pick(g, "mg", "ms", "md", "ma", "me", "mg ", "ms "+key, "mx "+key, "MG "+key+" v", "mgx "+key))
	case 5: // options flags are too long
		return literal("mg %s %s\r\n", key, strings.Repeat("Oabc ", pick(g, 5, 20, 50)))
	case 6:
		return literal("mg %s%s\r\n", key, strings.Repeat(" v k t", pick(g, 1, 5, 9)))
	case 7:
		return literal("ms %s 1 %s\r\nx\r\n", key, pick(g, "MX", "M", "FFF", "F4294967296", "F-1", "Q", "v", "ST", "kk", "k7", "b"))
	case 8:
		return literal("mg %snone v O%s\r\n", g.keys[0], strings.Repeat("o", pick(g, 31, 32, 33)))
	case 9:
		return literal("mg  %s  v   k  \r\n", key)
	default:
		return literal("%s %s\n", pick(g, "mg", "md", "ma"), key)
	}
}
