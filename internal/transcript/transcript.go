// Package transcript reads and replays dialogues between a client and a server,
// byte by byte.
//
// Read first: Load, Block.Replay. A file is a series of blocks, separated by
// blank lines; each is a dialogue of its own:
//
//	# a comment
//	real: >= 1.6.40     memcached before this version answers differently
//	ours: REASON        memcached answers differently, and why
//	C: set k{run} 0 0 1 the client sends this and \r\n
//	c: x\r\n            the client sends just this
//	S: STORED           the server answers this and \r\n
//	P: get key=k{run}   the client sends this packet of the binary protocol
//	R: get cas={c} flags=7 value=x   the server answers this packet
//	S: closed           written <closed>: the server closes the connection
//	wait 1100ms         time passes
//
// Go's escapes \xNN, \r, \n, \t, \\ are bytes, and <1000*x> is 1000 times x. {run}
// is a text that differs in each replay, so that keys are new. Any other {name} in an S
// line matches a decimal; in later lines of the block it is that decimal. In an S line
// {90-} is a time of 90 seconds that counts down, and {2+} one of 2 seconds that counts
// up. If real time passes, the answer may differ by up to ten seconds.
//
// A packet is the name of its command, or its number, and fields. A value with blanks or
// escapes is quoted. flags, exptime, level, delta and initial become the extras, in the
// given order. opaque, cas, key, value, magic, datatype, keylength, extraslength and
// bodylength set the fields of these names. An R line lists what is not zero, in this
// order: datatype status opaque cas flags or extras, key, value or number.
//
// Only tests use it.
package transcript

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Block is one dialogue.
type Block struct {
	File string
	Line int
	Real string // oldest memcached that gives these answers, or empty
	Ours string // why memcached answers differently, or empty

	steps []step
}

// step is one line of a block. Exactly one field is set.
type step struct {
	line   int
	send   string
	packet *packet // to be sent
	expect string
	answer string // packet that is expected
	closed bool
	wait   time.Duration
}

// LoadAll reads the files of a folder.
func LoadAll(dir string) ([]Block, error) {
	names, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var blocks []Block
	for _, name := range names {
		b, err := Load(name)
		if err != nil {
			return nil, err
		}
		blocks = append(blocks, b...)
	}
	return blocks, nil
}

// Load reads a file.
func Load(name string) ([]Block, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	return read(name, f)
}

// Parse reads a text of one block.
func Parse(text string) (*Block, error) {
	blocks, err := read("text", strings.NewReader(text))
	if err == nil && len(blocks) != 1 {
		err = fmt.Errorf("text has %d blocks, want 1", len(blocks))
	}
	if err != nil {
		return nil, err
	}
	return &blocks[0], nil
}

func read(name string, r io.Reader) ([]Block, error) {
	var (
		blocks []Block
		inside bool
		line   int
	)
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		line++
		text := lines.Text()
		switch {
		case strings.TrimSpace(text) == "":
			inside = false
			continue
		case strings.HasPrefix(text, "#"):
			continue
		case !inside:
			blocks = append(blocks, Block{File: filepath.Base(name), Line: line})
			inside = true
		}
		if err := blocks[len(blocks)-1].add(text, line); err != nil {
			return nil, fmt.Errorf("%s:%d: %w", name, line, err)
		}
	}
	return blocks, lines.Err()
}

func (b *Block) add(text string, line int) error {
	kind, rest, _ := strings.Cut(text, " ")
	s := step{line: line}
	var err error
	switch kind {
	case "real:":
		b.Real = strings.TrimPrefix(rest, ">= ")
		return nil
	case "ours:":
		b.Ours = rest
		return nil
	case "C:":
		s.send, err = unescape(rest)
		s.send += "\r\n"
	case "c:":
		s.send, err = unescape(rest)
	case "P:":
		s.packet, err = parsePacket(rest)
	case "R:":
		s.answer = repeat(rest)
	case "S:":
		if s.closed = rest == "<closed>"; !s.closed {
			s.expect, err = unescape(rest)
			s.expect += "\r\n"
		}
	case "wait":
		s.wait, err = time.ParseDuration(rest)
	default:
		err = fmt.Errorf("line begins with %q", kind)
	}
	b.steps = append(b.steps, s)
	return err
}

var (
	repeats  = regexp.MustCompile(`<(\d+)\*([^>]+)>`)
	variable = regexp.MustCompile(`\{[a-z]+\d*\}|\{\d+[+-]\}`)
)

// repeat expands repetitions like <1000*x>.
func repeat(s string) string {
	return repeats.ReplaceAllStringFunc(s, func(m string) string {
		parts := repeats.FindStringSubmatch(m)
		n, err := strconv.Atoi(parts[1])
		if err != nil {
			return m
		}
		return strings.Repeat(parts[2], n)
	})
}

func unescape(s string) (string, error) {
	s = repeat(s)
	if !strings.Contains(s, `\`) {
		return s, nil
	}
	return strconv.Unquote(`"` + strings.ReplaceAll(s, `"`, `\"`) + `"`)
}

// Requests returns everything that the client of the block sends. Variables are not
// replaced, except in numbers of packets, where they are 1.
func (b *Block) Requests() string {
	var sent strings.Builder
	for _, s := range b.steps {
		sent.WriteString(s.send)
		if s.packet == nil {
			continue
		}
		encoded, err := s.packet.encode(func(v string) string {
			if variable.FindString(v) == v {
				return "1"
			}
			return v
		})
		if err == nil { // a replay reports it
			sent.WriteString(encoded)
		}
	}
	return sent.String()
}

// isBinary reports whether the client speaks the binary protocol.
func (b *Block) isBinary() bool {
	for _, s := range b.steps {
		if s.packet != nil {
			return true
		}
	}
	return false
}

// sends reports whether the client sends something in the step.
func (s *step) sends() bool { return s.send != "" || s.packet != nil }

// Waits reports whether the block lets time pass.
func (b *Block) Waits() bool {
	for _, s := range b.steps {
		if s.wait > 0 {
			return true
		}
	}
	return false
}

// OlderThan reports whether version a, like "1.6.18", is older than b.
func OlderThan(a, b string) bool {
	as, bs := strings.Split(a, "."), strings.Split(b, ".")
	for i := range min(len(as), len(bs)) {
		x, errX := strconv.Atoi(as[i])
		y, errY := strconv.Atoi(bs[i])
		if errX != nil || errY != nil {
			return as[i] < bs[i]
		}
		if x != y {
			return x < y
		}
	}
	return len(as) < len(bs)
}
