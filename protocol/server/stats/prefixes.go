package stats

import (
	"bytes"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
)

const (
	// DelimiterDefault is memcached's default of -D.
	DelimiterDefault = ':'

	// prefixBytesMax bounds the prefixes that are counted, by what they take in a dump, which
	// is no more than other answers of a connection then: about 15,000 prefixes. Each takes
	// lineBytes beside its name, if no number has more than nine digits. memcached bounds
	// their number, by 65,536, of which a dump takes 20 MB.
	prefixBytesMax = 1 << 20
	lineBytes      = 65
)

// Prefixes counts commands by the part of their keys before the first delimiter, while
// that is switched on (protocol.txt, "stats detail"). A key without a delimiter has no
// prefix. Any goroutine may call its methods.
type Prefixes struct {
	delimiter byte
	on        atomic.Bool

	mu     sync.Mutex
	counts map[string]*prefixCounts
	bytes  int // of all their lines, at most prefixBytesMax
}

type prefixCounts struct{ gets, hits, sets, deletes uint64 }

// NewPrefixes returns counts that are switched on or off; a delimiter of 0 is the default.
func NewPrefixes(delimiter byte, on bool) *Prefixes {
	if delimiter == 0 {
		delimiter = DelimiterDefault
	}
	p := &Prefixes{delimiter: delimiter, counts: make(map[string]*prefixCounts)}
	p.on.Store(on)
	return p
}

// Switch switches counting on or off. What was counted stays.
func (p *Prefixes) Switch(on bool) { p.on.Store(on) }

// On reports whether commands are counted.
func (p *Prefixes) On() bool { return p.on.Load() }

// Get counts that a key was asked for. It borrows the key, as the others do.
func (p *Prefixes) Get(key []byte) { p.count(key, func(c *prefixCounts) { c.gets++ }) }

// Hit counts that a key which was asked for was found.
func (p *Prefixes) Hit(key []byte) { p.count(key, func(c *prefixCounts) { c.hits++ }) }

// Set counts that a value was to be stored, whatever came of that.
func (p *Prefixes) Set(key []byte) { p.count(key, func(c *prefixCounts) { c.sets++ }) }

// Delete counts that an item was to be deleted, whatever came of that.
func (p *Prefixes) Delete(key []byte) { p.count(key, func(c *prefixCounts) { c.deletes++ }) }

func (p *Prefixes) count(key []byte, add func(*prefixCounts)) {
	n := bytes.IndexByte(key, p.delimiter)
	if n < 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c := p.counts[string(key[:n])]
	if c == nil {
		bytes := p.bytes + n + lineBytes
		if bytes > prefixBytesMax {
			return
		}
		p.bytes, c = bytes, new(prefixCounts)
		p.counts[string(key[:n])] = c
	}
	add(c)
}

// Reset forgets what was counted.
func (p *Prefixes) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.counts)
	p.bytes = 0
}

// Append appends a line for each prefix, in their order, and the end of the list.
func (p *Prefixes) Append(dst []byte) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	names := make([]string, 0, len(p.counts))
	for name := range p.counts {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		c := p.counts[name]
		dst = append(append(dst, "PREFIX "...), name...)
		for _, of := range []struct {
			word string
			n    uint64
		}{{" get ", c.gets}, {" hit ", c.hits}, {" set ", c.sets}, {" del ", c.deletes}} {
			dst = strconv.AppendUint(append(dst, of.word...), of.n, 10)
		}
		dst = append(dst, "\r\n"...)
	}
	return append(dst, "END\r\n"...)
}
