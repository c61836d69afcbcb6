package main

import (
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// wordRule says which words of two lines may differ, by how much, and why.
type wordRule struct {
	name   string
	reason string
	covers func(kind string, at int, word string) bool
	equal  func(c *comparer, a, b string) bool
}

// wordRules lists all permitted differences of single words. The first rule that
// covers a word decides.
var wordRules = []wordRule{
	{
		name:   "cas uniques",
		reason: "each server numbers changes in its own way; numbers that correspond are equal",
		covers: func(kind string, at int, word string) bool {
			return kind == "VALUE" && at == 4 || isMeta(kind) && at > 0 && word != "" && word[0] == 'c' ||
				kind == "ME" && strings.HasPrefix(word, "cas=")
		},
		equal: sameCASWords,
	},
	{
		name:   "seconds",
		reason: "the servers' clocks tick at different moments, and one may answer later than the other",
		covers: func(kind string, at int, word string) bool {
			return isMeta(kind) && at > 0 && word != "" && (word[0] == 't' || word[0] == 'l') ||
				kind == "ME" && (strings.HasPrefix(word, "exp=") || strings.HasPrefix(word, "la="))
		},
		equal: sameSeconds,
	},
	{
		name: "keys in base64",
		reason: "memcached returns a key as it was stored, this server as it was sent; " +
			"the word b after it is left out for both",
		covers: func(kind string, at int, word string) bool {
			return isMeta(kind) && at > 0 && strings.HasPrefix(word, "k") || kind == "ME" && at == 1
		},
		equal: sameKeys,
	},
	{
		name:   "slabs",
		reason: "this server has no slab classes, and another header size",
		covers: func(kind string, _ int, word string) bool {
			return kind == "ME" && (strings.HasPrefix(word, "cls=") || strings.HasPrefix(word, "size="))
		},
		equal: func(_ *comparer, a, b string) bool {
			a, _, _ = strings.Cut(a, "=")
			b, _, _ = strings.Cut(b, "=")
			return a == b
		},
	},
	{
		name:   "version",
		reason: "it is the version that this server follows, and the other may be a snapshot build",
		covers: func(kind string, at int, _ string) bool { return kind == "VERSION" && at == 1 },
		equal:  func(*comparer, string, string) bool { return true },
	},
}

// unitRule drops units of one of the servers before they are compared.
type unitRule struct {
	name   string
	reason string
	drops  func(units []unit, i int, theirs bool) bool // theirs: the units are of a real memcached
}

var unitRules = []unitRule{
	{
		name: "bytes after a bad data block",
		reason: "memcached parses the bytes after the declared length as a command, mostly an error; " +
			"this server drops them up to the line's end",
		drops: func(units []unit, i int, theirs bool) bool {
			return theirs && i > 0 && units[i-1].line == "CLIENT_ERROR bad data chunk" &&
				(units[i].line == "ERROR" || units[i].line == "CLIENT_ERROR bad command line format")
		},
	},
	{
		name:   "empty line after an error",
		reason: "memcached answers a key of more than 250 bytes in a get with its error and an additional empty line",
		drops: func(units []unit, i int, theirs bool) bool {
			return theirs && i > 0 && units[i].line == "" && units[i].packet == nil &&
				units[i-1].line == "CLIENT_ERROR bad command line format"
		},
	},
	{
		name:   "statistics",
		reason: "they describe the server that is asked; their meaning is tested elsewhere",
		drops: func(units []unit, i int, _ bool) bool {
			if p := units[i].packet; p != nil {
				return p.opcode == opStat && p.status == 0 && p.key != ""
			}
			return strings.HasPrefix(units[i].line, "STAT ")
		},
	},
}

// notGenerated lists what is never sent because a comparison could not detect a
// fault.
var notGenerated = []struct{ what, reason string }{
	{"items within a KiB of the item limit", "the item headers of the two servers differ by some bytes"},
	{"expiry within minutes", "the clocks tick at different moments; see protocol/testdata/expiry.txt"},
	{"recache times (R) near the times to live (T, N)", "the clocks tick at different moments"},
	{"flush_all within minutes", "the clocks tick at different moments; 0, negative and far ones are sent"},
	{"slabs, lru, watch, extstore", "this server answers ERROR: it has no slabs or LRU"},
	{"lru_crawler", "the memcached that is compared with has no crawler; see protocol/testdata/admin.txt"},
	{"cache_memlimit, verbosity above 0", "they change the server's behaviour"},
	{"incr or decr in one batch with a read of the key", "see generator.batches"},
	{"incr or decr of a value of spaces only", "memcached reads beyond the value"},
	{"requests before HTTP, or before a get of a key that is too long, in one batch", "memcached does not answer them"},
	{"get of a key and then of one that is too long", "memcached never releases the item of the first key"},
	{"unknown operations of the binary protocol with a body", "memcached drops as many bytes again after it"},
	{"lines without an end", "the next request would complete them"},
	{"shutdown with an invalid mode, verbosity in binary", "see docs/differences.md"},
	{"ma with T or E, but without MD", "see docs/differences.md: a value that becomes longer"},
	{"mg and ma with T, N and t", "see docs/differences.md: a key that is created"},
	{"ma and binary incr or decr of values above half of the item limit", "see docs/differences.md"},
	{"flags of ms that are no letters", "see docs/differences.md: memcached parses the data block as a command"},
	{"storing after an ms that is refused at its end", "see generator.another"},
	{"opaques that are too long, of mg with effects and of ma", "see docs/differences.md: memcached executes what it then refuses"},
	{"bad data blocks with noreply", "memcached then answers what it parses as a command, but not the error before it"},
}

// listRules returns a list of all rules and of what is not generated.
func listRules() string {
	var out strings.Builder
	section := func(title string) { fmt.Fprintf(&out, "%s:\n", title) }
	line := func(what, reason string) { fmt.Fprintf(&out, "  %s: %s\n", what, reason) }
	section("words that may differ")
	for _, r := range wordRules {
		line(r.name, r.reason)
	}
	section("lines and packets that may be missing")
	for _, r := range unitRules {
		line(r.name, r.reason)
	}
	section("not sent")
	for _, n := range notGenerated {
		line(n.what, n.reason)
	}
	return out.String()
}

func isMeta(kind string) bool {
	switch kind {
	case "HD", "VA", "EN", "NF", "NS", "EX":
		return true
	}
	return false
}

// comparedWords drops the word that marks a key in base64.
func comparedWords(words []string) []string {
	if !isMeta(words[0]) {
		return words
	}
	return slices.DeleteFunc(words, func(word string) bool { return word == "b" })
}

// sameKeys compares keys that may each be in base64, with the k before them.
func sameKeys(_ *comparer, a, b string) bool {
	if a == b {
		return true
	}
	a, b = strings.TrimPrefix(a, "k"), strings.TrimPrefix(b, "k")
	plainA, errA := base64.StdEncoding.DecodeString(a)
	plainB, errB := base64.StdEncoding.DecodeString(b)
	return errA == nil && string(plainA) == b || errB == nil && string(plainB) == a
}

func wordRuleOf(kind string, at int, word string) *wordRule {
	for i := range wordRules {
		if wordRules[i].covers(kind, at, word) {
			return &wordRules[i]
		}
	}
	return nil
}

// kept returns the units that are compared.
func kept(units []unit, theirs bool) []unit {
	var kept []unit
	for i := range units {
		if !dropped(units, i, theirs) {
			kept = append(kept, units[i])
		}
	}
	return kept
}

func dropped(units []unit, i int, theirs bool) bool {
	for _, rule := range unitRules {
		if rule.drops(units, i, theirs) {
			return true
		}
	}
	return false
}

// number splits a word like c12, t-1 or cas=12 into its name and its number.
func number(word string) (name, digits string) {
	at := strings.IndexAny(word, "-0123456789")
	if at < 0 {
		return word, ""
	}
	return word[:at], word[at:]
}

func sameCASWords(c *comparer, a, b string) bool {
	nameA, textA := number(a)
	nameB, textB := number(b)
	casA, errA := strconv.ParseUint(textA, 10, 64)
	casB, errB := strconv.ParseUint(textB, 10, 64)
	if errA != nil || errB != nil {
		return a == b
	}
	return nameA == nameB && c.sameCAS(casA, casB)
}

// passedMin is a lower bound of memcached's flag t of an item that has expired
// already: it prints the negative number as unsigned. This server returns 0.
const passedMin = 1 << 31

// secondsApartMax is by how much two answers about time may differ.
const secondsApartMax = 3

func sameSeconds(_ *comparer, a, b string) bool {
	nameA, textA := number(a)
	nameB, textB := number(b)
	if a == b || nameA != nameB {
		return a == b
	}
	secondsA, errA := strconv.ParseInt(textA, 10, 64)
	secondsB, errB := strconv.ParseInt(textB, 10, 64)
	if secondsA == 0 && secondsB > passedMin {
		return true
	}
	if errA != nil || errB != nil || (secondsA < 0) != (secondsB < 0) {
		return false // -1 is "never"
	}
	return max(secondsA-secondsB, secondsB-secondsA) <= secondsApartMax
}
