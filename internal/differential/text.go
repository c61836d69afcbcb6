package main

import (
	"fmt"
	"strings"
)

// textCommand returns a classic text command, valid or almost valid.
func (g *generator) textCommand() command {
	switch g.rng.IntN(20) {
	case 0, 1, 2, 3, 4:
		return g.store(pick(g, "set", "set", "set", "add", "replace", "append", "prepend"))
	case 5, 6:
		return g.casStore()
	case 7, 8, 9, 10, 11:
		g.reads = true
		return literal("%s %s\r\n", pick(g, "get", "gets"), strings.Join(g.someKeys(), " "))
	case 12:
		g.reads = true
		return literal("%s %s %s\r\n", pick(g, "gat", "gats"), g.textExptime(), strings.Join(g.someKeys(), " "))
	case 13:
		return literal("touch %s %s%s\r\n", g.key(), g.textExptime(), g.noreply())
	case 14:
		return literal("delete %s%s%s\r\n", g.key(), pick(g, "", "", "", " 0"), g.noreply())
	case 15, 16, 17:
		g.count = true
		return literal("%s %s %s%s\r\n", pick(g, "incr", "decr"), g.key(), g.delta(), g.noreply())
	case 18:
		if g.old {
			return literal("version\r\n")
		}
		return g.malformed()
	default:
		return g.administration()
	}
}

func (g *generator) noreply() string {
	if g.oneIn(6) {
		return " noreply"
	}
	return ""
}

func (g *generator) someKeys() []string {
	keys := []string{g.key()}
	for g.oneIn(2) {
		keys = append(keys, g.key())
	}
	return keys
}

// textExptime returns an exptime, sometimes not a number.
func (g *generator) textExptime() string {
	if !g.old && g.oneIn(30) {
		return pick(g, "x", "1x", "", "99999999999999999999")
	}
	return g.exptime()
}

func (g *generator) delta() string {
	if !g.old && g.oneIn(12) {
		return pick(g, "x", "-1", "1.5", "18446744073709551616", "", "0x10")
	}
	return pick(g, "0", "1", "1", "2", "7", "10", "18446744073709551615", "9223372036854775808")
}

func (g *generator) store(verb string) command {
	value := g.value()
	return literal("%s %s %s %s %d%s\r\n%s\r\n", verb, g.key(), g.flags(), g.exptime(), len(value), g.noreply(), value)
}

func (g *generator) casStore() command {
	value := g.value()
	return command{
		head: fmt.Appendf(nil, "cas %s %s %s %d ", g.key(), g.flags(), g.exptime(), len(value)),
		cas:  g.rng.IntN(4),
		tail: fmt.Appendf(nil, "%s\r\n%s\r\n", g.noreply(), value),
	}
}

// malformed returns a request that is mostly answered with an error.
func (g *generator) malformed() command {
	g.reads, g.count = true, true // some of them do
	key, tooLong := g.key(), strings.Repeat("k", keyBytesMax+1)
	switch g.rng.IntN(16) {
	case 0:
		return literal("set %s 0 0 1\r\nx\r\n", tooLong)
	case 1:
		g.apart = true
		return literal("%s %s\r\n", pick(g, "get", "gets", "delete", "touch", "gat 0", "incr"), tooLong)
	case 2: // longer than declared
		return literal("%s %s 0 0 %d\r\nzzzzz%s\r\n", pick(g, "set", "add", "append"), key, g.rng.IntN(4), strings.Repeat("z", g.rng.IntN(100)))
	case 3:
		return literal("set %s %s 0 1\r\nx\r\n", key, pick(g, "-1", "1.5", "x", "99999999999999999999"))
	case 4:
		return literal("set %s 0 %s 1\r\nx\r\n", key, pick(g, "x", "1.5", "99999999999999999999"))
	case 5:
		return literal("%s %s 0 0 %s\r\n", pick(g, "set", "add", "cas"), key, pick(g, "-1", "x", "2147483646", "99999999999", ""))
	case 6:
		return literal("cas %s 0 0 1%s\r\nx\r\n", key, pick(g, " x", " -1", " 1.5", " 99999999999999999999"))
	case 7:
		return literal("%s\r\n", pick(g, "set", "get", "gets", "gat", "gats", "gat 0", "touch", "delete", "incr", "cas", "incr "+key, "touch "+key, "set "+key))
	case 8:
		return literal("%s\r\n", pick(g, "", " ", "   ", "x", "ab", "abc", "GET "+key, " get "+key, "get\t"+key, "unknown "+key, "version1"))
	case 9:
		return literal("%s\n", pick(g, "get "+key, "delete "+key, "ab", "abc", "verbosity 0", "incr "+key+" 1"))
	case 10:
		return literal("get  %s  \r\n", key)
	case 11:
		return literal("%s %s 1000 2 3 4\r\n", pick(g, "delete", "touch", "incr"), key)
	case 12:
		return literal("set  %s   0  0  1  \r\nx\r\n", key)
	case 13:
		return literal("%s noreply\r\n", pick(g, "nonsense", "touch "+key+" x", "incr "+key+" x", "verbosity x", "delete "+tooLong))
	case 14:
		g.apart = true
		return literal("get %s %s\r\n", tooLong, key)
	default:
		return literal("get %s\r\n", strings.Repeat(key+" ", 1+g.rng.IntN(60)))
	}
}

// administration returns a request that concerns no item.
func (g *generator) administration() command {
	if g.old {
		return literal("%s\r\n", pick(g, "version", "verbosity 0", "stats", "stats reset"))
	}
	if g.alone && g.oneIn(2) {
		return literal("flush_all%s%s\r\n", pick(g, "", "", " 0", " -1", " 100000", " x", " 1.5"), g.noreply())
	}
	return literal("%s\r\n", pick(g, "version", "version x", "verbosity 0", "verbosity 0 noreply", "verbosity", "stats",
		"stats nonsense", "stats reset", "stats settings", "shutdown"))
}
