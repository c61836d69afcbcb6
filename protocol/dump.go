package protocol

import (
	"bytes"
	"encoding/base64"
	"math"
	"strconv"
	"strings"
)

const (
	// dumpClass is the slab class that all items are reported in, by stats items too.
	dumpClass = 1

	// crawlerSleepMax is memcached's longest "lru_crawler sleep", in microseconds.
	crawlerSleepMax = 1_000_000
)

// The lines that answer lru_crawler.
const (
	replyBadClass = "BADCLASS invalid class id\r\n"
	replyBadCrawl = "ERROR an unknown error happened\r\n"
	replyBadSleep = "CLIENT_ERROR sleep must be one second or less\r\n"
)

// Dumped is what a dump tells of an item.
type Dumped struct {
	Key        []byte
	Flags      uint32
	CAS        uint64
	ValueBytes int
	SizeBytes  int   // what memcached counts for such an item
	Expiry     int64 // second of Unix time, -1: never
	Accessed   int64 // second of Unix time
	Fetched    bool
}

// parseCrawler parses lru_crawler enable|disable, tocrawl|sleep NUMBER and
// crawl|metadump|mgdump all|hash|CLASS,CLASS... (protocol.txt, "LRU_Crawler"). As in
// memcached, the beginning of a subcommand is enough.
func (p *Parser) parseCrawler(req *Request) {
	t := &p.tokens
	sub := string(t.at(1))
	is := func(name string) bool { return t.count == 3 && strings.HasPrefix(name, sub) }
	switch {
	case is("crawl"):
		p.parseClasses(Crawler, req)
		switch {
		case req.Command == Invalid:
		case string(t.at(2)) == "hash":
			p.refuse(req, replyBadCrawl)
		default:
			req.Arg, req.NoItems = []byte("crawl"), false
		}
	case is("metadump"):
		p.parseClasses(MetaDump, req)
	case is("mgdump"):
		p.parseClasses(MGDump, req)
	case is("tocrawl"):
		req.Command, req.Arg = Crawler, []byte("tocrawl")
		if _, ok := parseUint(t.at(2), math.MaxUint32); !ok {
			p.refuse(req, replyBadFormat)
		}
	case is("sleep"):
		req.Command, req.Arg = Crawler, []byte("sleep")
		n, ok := parseUint(t.at(2), math.MaxUint32)
		switch {
		case !ok:
			p.refuse(req, replyBadFormat)
		case n > crawlerSleepMax:
			p.refuse(req, replyBadSleep)
		}
	case t.count == 2 && strings.HasPrefix("enable", sub):
		req.Command, req.Arg = Crawler, []byte("enable")
	case t.count == 2 && strings.HasPrefix("disable", sub):
		req.Command, req.Arg = Crawler, []byte("disable")
	default:
		p.refuse(req, replyError)
	}
}

// parseClasses parses which slab classes a command is about. All items are in one.
func (p *Parser) parseClasses(c Command, req *Request) {
	classes := p.tokens.at(2)
	req.Command = c
	if s := string(classes); s == "all" || s == "hash" {
		return
	}
	req.NoItems = true
	for class := range bytes.SplitSeq(classes, []byte{','}) {
		if len(class) == 0 {
			continue // as strtok does
		}
		id, ok := parseUint(class, slabClasses-1)
		if !ok || id == 0 {
			p.refuse(req, replyBadClass)
			return
		}
		req.NoItems = req.NoItems && id != dumpClass
	}
}

// AppendDumpBegin appends what comes before the items of a dump.
func AppendDumpBegin(dst []byte, c Command) []byte {
	if c == CacheDump {
		return dst
	}
	return append(dst, "OK\r\n"...)
}

// AppendDumped appends what a dump of command c tells of an item, and reports whether
// that is anything: stats cachedump leaves out keys that are no text.
func AppendDumped(dst []byte, c Command, it *Dumped) (_ []byte, told bool) {
	switch c {
	case MetaDump:
		return appendMetaDumped(dst, it), true
	case MGDump:
		dst = append(dst, "mg "...)
		if isTextKey(it.Key) {
			return append(append(dst, it.Key...), "\r\n"...), true
		}
		return append(base64.StdEncoding.AppendEncode(dst, it.Key), " b\r\n"...), true
	}
	if !isTextKey(it.Key) {
		return dst, false
	}
	dst = append(append(append(dst, "ITEM "...), it.Key...), " ["...)
	dst = strconv.AppendInt(dst, int64(it.ValueBytes), 10)
	dst = strconv.AppendInt(append(dst, " b; "...), max(0, it.Expiry), 10)
	return append(dst, " s]\r\n"...), true
}

// AppendDumpEnd appends what comes after the items of a dump.
func AppendDumpEnd(dst []byte, c Command) []byte {
	if c == MGDump {
		return append(dst, "EN\r\n"...)
	}
	return append(dst, ReplyEnd...)
}

func appendMetaDumped(dst []byte, it *Dumped) []byte {
	dst = AppendEscaped(append(dst, "key="...), it.Key)
	dst = strconv.AppendInt(append(dst, " exp="...), it.Expiry, 10)
	dst = strconv.AppendInt(append(dst, " la="...), it.Accessed, 10)
	dst = strconv.AppendUint(append(dst, " cas="...), it.CAS, 10)
	fetched := "no"
	if it.Fetched {
		fetched = "yes"
	}
	dst = append(append(dst, " fetch="...), fetched...)
	dst = strconv.AppendInt(append(dst, " cls="...), dumpClass, 10)
	dst = strconv.AppendInt(append(dst, " size="...), int64(it.SizeBytes), 10)
	dst = strconv.AppendUint(append(dst, " flags="...), uint64(it.Flags), 10)
	return append(dst, " \n"...)
}

// AppendEscaped appends a key as it is in an URI, like memcached's uriencode.
func AppendEscaped(dst, key []byte) []byte {
	const digits = "0123456789ABCDEF"
	for _, b := range key {
		switch {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', b == '-', b == '.', b == '_', b == '~':
			dst = append(dst, b)
		default:
			dst = append(dst, '%', digits[b>>4], digits[b&15])
		}
	}
	return dst
}

// isTextKey reports whether a key can be written in a line as it is.
func isTextKey(key []byte) bool {
	for _, b := range key {
		if b <= ' ' || b == 0x7f {
			return false
		}
	}
	return true
}
