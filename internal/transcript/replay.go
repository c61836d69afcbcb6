package transcript

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// answerTimeout is how long an answer may take, on a busy machine whose servers elect a
// leader meanwhile, too.
const answerTimeout = 20 * time.Second

// Options of a replay.
type Options struct {
	Run string // stands for {run}; new for each replay

	// Chop cuts what the client sends into pieces that are written separately. If it
	// is nil, everything is written in one piece.
	Chop func(string) []string

	// Wait lets time pass for the server. If it is nil, Replay sleeps.
	Wait func(time.Duration)

	// TLS has ReplayAt encrypt; nil: it does not.
	TLS *tls.Config
}

// replay is the state of one replay.
type replay struct {
	options Options
	conn    net.Conn
	in      *bufio.Reader
	vars    map[string]string
}

// ReplayAt replays the block on a new connection to a server.
func (b *Block) ReplayAt(addr string, o Options) error {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return fmt.Errorf("%s: %w", b.File, err)
	}
	defer func() { _ = conn.Close() }() // everything was read
	if o.TLS != nil {
		conn = tls.Client(conn, o.TLS)
	}
	return b.Replay(conn, o)
}

// Replay plays the client's part over conn and compares the server's answers. At the end
// it checks that the server has sent nothing else.
func (b *Block) Replay(conn net.Conn, o Options) error {
	r := &replay{options: o, conn: conn, in: bufio.NewReader(conn), vars: map[string]string{"{run}": o.Run}}
	var pending strings.Builder
	for i, s := range b.steps {
		bytes, err := r.bytes(&s)
		pending.WriteString(bytes)
		if err == nil && s.sends() && i+1 < len(b.steps) && b.steps[i+1].sends() {
			continue
		}
		if err == nil {
			err = r.send(pending.String())
		}
		pending.Reset()
		if err != nil && b.steps[len(b.steps)-1].closed {
			err = nil // the server closed the connection before it had read everything
		}
		if err == nil {
			err = r.do(&s)
		}
		if err != nil {
			return fmt.Errorf("%s:%d: %w", b.File, s.line, err)
		}
		if s.closed {
			return nil
		}
	}
	if err := r.inStep(b); err != nil {
		return fmt.Errorf("%s:%d: after the block: %w", b.File, b.Line, err)
	}
	return nil
}

// bytes returns what the client sends in a step.
func (r *replay) bytes(s *step) (string, error) {
	if s.packet != nil {
		return s.packet.encode(r.fill)
	}
	return r.fill(s.send), nil
}

func (r *replay) fill(s string) string {
	return variable.ReplaceAllStringFunc(s, func(name string) string {
		if v, ok := r.vars[name]; ok {
			return v
		}
		return name
	})
}

func (r *replay) send(s string) error {
	pieces := []string{s}
	if r.options.Chop != nil {
		pieces = r.options.Chop(s)
	}
	for _, p := range pieces {
		if _, err := io.WriteString(r.conn, p); err != nil {
			return err
		}
	}
	return nil
}

func (r *replay) do(s *step) error {
	if err := r.conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	switch {
	case s.wait > 0 && r.options.Wait != nil:
		r.options.Wait(s.wait)
	case s.wait > 0:
		<-time.After(s.wait)
	case s.closed:
		if c, err := r.in.ReadByte(); err == nil {
			return fmt.Errorf("the server says %q..., should close", c)
		} else if !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
			return fmt.Errorf("the server does not close: %w", err)
		}
	case s.expect != "":
		return r.expect(s.expect)
	case s.answer != "":
		return r.expectAnswer(s.answer)
	}
	return nil
}

// expectAnswer reads a packet of the server and compares it with want.
func (r *replay) expectAnswer(want string) error {
	got, err := readAnswer(r.in)
	if err != nil {
		return err
	}
	want = r.fill(want)
	if got == want {
		return nil
	}
	pattern := "^"
	var names []string
	rest := want
	for at := variable.FindStringIndex(rest); at != nil; at = variable.FindStringIndex(rest) {
		pattern += regexp.QuoteMeta(rest[:at[0]]) + `(\d+)`
		names = append(names, rest[at[0]:at[1]])
		rest = rest[at[1]:]
	}
	compiled, err := regexp.Compile(pattern + regexp.QuoteMeta(rest) + "$")
	if err != nil {
		return err
	}
	found := compiled.FindStringSubmatch(got)
	if found == nil {
		return fmt.Errorf("the server says %.200s, should say %.200s", got, want)
	}
	for i, name := range names {
		r.vars[name] = found[i+1]
	}
	return nil
}

// expect reads the server's answer and compares it with want.
func (r *replay) expect(want string) error {
	for want = r.fill(want); ; {
		at := variable.FindStringIndex(want)
		if at == nil {
			return r.literal(want)
		}
		if err := r.literal(want[:at[0]]); err != nil {
			return err
		}
		digits := ""
		for {
			c, err := r.in.ReadByte()
			if err != nil {
				return fmt.Errorf("server ends within a number: %w", err)
			}
			if c < '0' || c > '9' {
				if err := r.in.UnreadByte(); err != nil {
					return err
				}
				break
			}
			digits += string(c)
		}
		if err := r.settle(want[at[0]:at[1]], digits); err != nil {
			return err
		}
		want = want[at[1]:]
	}
}

// settle stores the value of a name, or compares a time with the server's answer.
func (r *replay) settle(name, digits string) error {
	end := len(name) - 2
	seconds, err := strconv.Atoi(name[1:end])
	if err != nil {
		r.vars[name] = digits
		return nil
	}
	got, err := strconv.Atoi(digits)
	passed := got - seconds
	if name[end] == '-' {
		passed = -passed
	}
	if err != nil || passed < 0 || passed > r.slackSeconds() {
		return fmt.Errorf("the server says %q seconds, should say %s", digits, name)
	}
	return nil
}

// slackSeconds is how much longer the replay may take than the block's waits.
func (r *replay) slackSeconds() int {
	if r.options.Wait != nil {
		return 0
	}
	return int(answerTimeout / time.Second)
}

func (r *replay) literal(want string) error {
	got := make([]byte, len(want))
	n, err := io.ReadFull(r.in, got)
	if string(got[:n]) == want {
		return nil
	}
	if rest := r.in.Buffered(); rest > 0 {
		more, peekErr := r.in.Peek(min(rest, 100))
		if peekErr == nil {
			got = append(got[:n], more...)
			n = len(got)
		}
	}
	return errors.Join(fmt.Errorf("the server says %.200q, should say %.200q", got[:n], want), err)
}

// inStep sends a request that every server answers. If another answer comes first, the
// server has sent too much.
func (r *replay) inStep(b *Block) error {
	question := "verbosity 0\r\n"
	if b.isBinary() {
		noop := packet{opcode: 0x0a, fields: []field{{"opaque", "4242"}}}
		var err error
		if question, err = noop.encode(r.fill); err != nil {
			return err
		}
	}
	if err := r.send(question); err != nil {
		return err
	}
	if err := r.conn.SetReadDeadline(time.Now().Add(answerTimeout)); err != nil {
		return err
	}
	if b.isBinary() {
		return r.expectAnswer("noop opaque=4242")
	}
	return r.literal("OK\r\n")
}

// EveryByte is a Chop that sends each byte separately.
func EveryByte(s string) []string {
	if len(s) > chopBytesMax {
		return []string{s[:1], s[1 : len(s)/2], s[len(s)/2 : len(s)-3], s[len(s)-3 : len(s)-1], s[len(s)-1:]}
	}
	pieces := make([]string, len(s))
	for i := range len(s) {
		pieces[i] = s[i : i+1]
	}
	return pieces
}

// chopBytesMax is the length up to which each byte is sent separately.
const chopBytesMax = 2000
