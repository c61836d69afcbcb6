package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

const itemBytesMax = 1 << 20

// describe writes down what a request holds, but for what is zero.
func describe(r *protocol.Request) string {
	var s strings.Builder
	s.WriteString(r.Command.String())
	field := func(name string, value any, set bool) {
		if set {
			fmt.Fprintf(&s, " %s=%v", name, value)
		}
	}
	if len(r.Keys) > 0 {
		field("keys", fmt.Sprintf("%q", r.Keys), true)
	} else {
		field("key", fmt.Sprintf("%q", r.Key), r.Key != nil)
	}
	field("flags", r.Flags, r.Flags != 0)
	field("exptime", r.Exptime, r.Exptime != 0)
	field("cas", r.CAS, r.CAS != 0)
	field("delta", r.Delta, r.Delta != 0)
	field("value", fmt.Sprintf("%q", r.Value), r.Value != nil)
	field("arg", fmt.Sprintf("%q", r.Arg), len(r.Arg) > 0)
	field("too large", "", r.TooLarge)
	field("noreply", "", r.NoReply)
	if r.Form.Codec == protocol.Binary {
		return s.String() + describeBinary(r)
	}
	describeMeta(field, r)
	field("reply", fmt.Sprintf("%q", r.Reply), r.Command == protocol.Invalid)
	return s.String()
}

// client feeds a parser as a server does: it buffers what is not consumed.
type client struct {
	parser   *protocol.Parser
	buffered []byte
	closed   bool
	found    []string // the requests, described; "close" at last if the parser said so

	// check, if there, is called with what each call of Parse was given and said.
	check func(b []byte, n int, v protocol.Verdict, r *protocol.Request)
}

func newClient(itemBytesMax int) *client {
	return &client{parser: protocol.NewParser(itemBytesMax, nil)}
}

// receive adds bytes to the input and takes all complete requests from it.
func (c *client) receive(b []byte) {
	c.buffered = append(c.buffered, b...)
	var req protocol.Request
	for !c.closed && len(c.buffered) > 0 {
		n, v := c.parser.Parse(c.buffered, &req)
		if c.check != nil {
			c.check(c.buffered, n, v, &req)
		}
		switch v {
		case protocol.Close:
			c.closed = true
			c.found = append(c.found, "close")
			return
		case protocol.Ready:
			c.found = append(c.found, describe(&req))
			c.parser.Consumed(&req)
		case protocol.NeedMore:
			if n == 0 {
				return
			}
		}
		c.buffered = c.buffered[n:]
	}
}

// parseAll returns the descriptions of all requests of input.
func parseAll(input string) []string {
	c := newClient(itemBytesMax)
	c.receive([]byte(input))
	return c.found
}

func TestWhatARequestHolds(t *testing.T) {
	for _, c := range []struct {
		input string
		want  []string
	}{
		{"get a\r\n", []string{`get keys=["a"]`}},
		{"gets a  b a \n", []string{`gets keys=["a" "b" "a"]`}},
		{"gat 30 a b\r\n", []string{`gat keys=["a" "b"] exptime=30`}},
		{"gats -1 a\r\n", []string{`gats keys=["a"] exptime=-1`}},
		{"set k 5 60 3\r\na\r\n\r\n", []string{`set key="k" flags=5 exptime=60 value="a\r\n"`}},
		{"add k 0 0 0\r\n\r\n", []string{`add key="k" value=""`}},
		{"replace k 4294967297 2147483648 1 noreply\r\nx\r\n", []string{`replace key="k" flags=1 exptime=2147483648 value="x" noreply=`}},
		{"append k +1 +2 1 more\r\nx\r\n", []string{`append key="k" flags=1 exptime=2 value="x"`}},
		{"prepend noreply 0 -1 1\r\nx\r\n", []string{`prepend key="noreply" exptime=-1 value="x"`}},
		{"cas k 0 0 1 18446744073709551615\r\nx\r\n", []string{`cas key="k" cas=18446744073709551615 value="x"`}},
		{"cas k 0 0 1 7 noreply\r\nx\r\n", []string{`cas key="k" cas=7 value="x" noreply=`}},
		{"touch k 2147483647\r\n", []string{`touch key="k" exptime=2147483647`}},
		{"delete k 0 noreply\r\n", []string{`delete key="k" noreply=`}},
		{"delete noreply\r\n", []string{`delete key="noreply" noreply=`}},
		{"incr k 18446744073709551615\r\n", []string{`incr key="k" delta=18446744073709551615`}},
		{"decr k 1 noreply\r\n", []string{`decr key="k" delta=1 noreply=`}},
		{"flush_all\r\nflush_all 10\r\nflush_all noreply\r\n", []string{"flush_all", "flush_all exptime=10", "flush_all noreply="}},
		{"cache_memlimit 100\r\ncache_memlimit 1 noreply\r\n", []string{"cache_memlimit delta=104857600", "cache_memlimit delta=1048576 noreply="}},
		{"version\r\nquit\r\n", []string{"version", "quit"}},
		{"verbosity 1 noreply\r\n", []string{"verbosity delta=1 noreply="}},
		{"stats\r\nstats  reset \r\nstats detail on\r\n", []string{"stats", `stats arg="reset"`, `stats arg="detail on"`}},
		{"stats cachedump 1 0\r\n", []string{"stats cachedump"}},
		{"shutdown\r\nshutdown graceful\r\n", []string{"shutdown", "shutdown"}},
		{" flush_all\r\n", []string{"flush_all"}},
		{"config get cluster\r\n", []string{`config arg="cluster"`}},
	} {
		if got := parseAll(c.input); !slices.Equal(got, c.want) {
			t.Errorf("%q is parsed as\n%s\nwant\n%s", c.input, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestMalformed shows which error each malformed line is answered with, and that
// the request behind it is found.
func TestMalformed(t *testing.T) {
	const (
		generic    = "ERROR"
		format     = "CLIENT_ERROR bad command line format"
		exptime    = "CLIENT_ERROR invalid exptime argument"
		delta      = "CLIENT_ERROR invalid numeric delta argument"
		chunk      = "CLIENT_ERROR bad data chunk"
		statDetail = "CLIENT_ERROR usage: stats detail on|off|dump"
		silent     = ""
	)
	longKey := strings.Repeat("k", 251)
	for _, c := range []struct{ input, reply string }{
		{"\r\n", format},
		{"x\r\n", format},
		{"ab\n", format}, // with a bare line feed it is as short as "x\r\n"
		{"ab\r\n", generic},
		{"    \r\n", generic},
		{" get a\r\n", generic},
		{"GET a\r\n", generic},
		{"get\ta\r\n", generic},
		{"bogus noreply\r\n", silent},
		{"config\r\n", generic},
		{"config set cluster\r\n", generic},
		{"config get\r\n", generic},
		{"slabs reassign 1 2\r\n", generic},
		{"lru_crawler metadump\r\n", generic},
		{"cache_memlimit 64m\r\n", generic},
		{"cache_memlimit 4294967296\r\n", generic},
		{"cache_memlimit x noreply\r\n", silent},
		{"get\r\n", format},
		{"gets  \r\n", format},
		{"get a " + longKey + "\r\n", format},
		{"gat 1\r\n", format},
		{"gat x k\r\n", exptime},
		{"gat 2147483648 k\r\n", exptime},
		{"set k 0 0\r\n", format},
		{"set k 0 0 -1\r\n", format},
		{"set k 0 0 -1 noreply\r\n", format}, // not understood far enough to be silenced
		{"set k 0 0 2147483646\r\n", format},
		{"set k 0 0 x\r\n", format},
		{"set k -1 0 1\r\nx\r\n", format},
		{"set k 1.5 0 1\r\nx\r\n", format},
		{"set k 18446744073709551616 0 1\r\nx\r\n", format},
		{"set k 0 +-1 1\r\nx\r\n", format},
		{"set k 0 x 1 noreply\r\nx\r\n", silent},
		{"set " + longKey + " 0 0 7\r\nversion\r\n", format},
		{"cas k 0 0 1\r\nx\r\n", format},
		{"cas k 0 0 1 noreply\r\nx\r\n", silent},
		{"cas k 0 0 1 18446744073709551616\r\nx\r\n", format},
		{"set k 0 0 1\r\nxyz and more\r\n", chunk},
		{"set k 0 0 3\r\nab\r\n\r\n", chunk},
		{"set k 0 0 1 noreply\r\nxyz and more\r\n", silent},
		{"touch k\r\n", format},
		{"touch k x\r\n", exptime},
		{"touch k -\r\n", exptime},
		{"touch k noreply\r\n", silent},
		{"delete\r\n", format},
		{"delete " + longKey + "\r\n", format},
		{"delete " + longKey + " noreply\r\n", silent},
		{"incr k\r\n", format},
		{"incr k -1\r\n", delta},
		{"incr k 18446744073709551616\r\n", delta},
		{"incr k x noreply\r\n", silent},
		{"flush_all x\r\n", exptime},
		{"flush_all x noreply\r\n", silent},
		{"verbosity\r\n", format},
		{"verbosity x\r\n", format},
		{"stats detail\r\n", statDetail},
		{"stats detail onoff\r\n", statDetail},
		{"stats cachedump 1\r\n", "CLIENT_ERROR bad command line"},
		{"stats cachedump a 1\r\n", format},
		{"stats cachedump 64 1\r\n", "CLIENT_ERROR Illegal slab id"},
		{"shutdown now\r\n", "CLIENT_ERROR invalid shutdown mode"},
		{"watch fetchers\r\n", "CLIENT_ERROR watch commands not allowed"},
	} {
		if c.reply != silent {
			c.reply += "\r\n"
		}
		want := []string{fmt.Sprintf("invalid reply=%q", c.reply), `get keys=["next"]`}
		if got := parseAll(c.input + "get next\r\n"); !slices.Equal(got, want) {
			t.Errorf("%q is parsed as\n%s\nwant\n%s", c.input, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestItemLimit has the sizes from which on memcached 1.6.45, asked with every
// length, says that an item is too large.
func TestItemLimit(t *testing.T) {
	for _, c := range []struct {
		keyBytes, flags, valueBytesMax int
	}{
		{1, 0, 1048516},
		{1, 1, 1048512},
		{250, 0, 1048267},
	} {
		for _, command := range []string{"set", "add", "append"} {
			head := fmt.Sprintf("%s %s %d 0 ", command, strings.Repeat("k", c.keyBytes), c.flags)
			for extra, want := range []bool{false, true} {
				var req protocol.Request
				size := c.valueBytesMax + extra
				input := fmt.Sprintf("%s%d\r\n%s\r\n", head, size, strings.Repeat("x", size))
				if _, v := protocol.NewParser(itemBytesMax, nil).Parse([]byte(input), &req); v != protocol.Ready || req.TooLarge != want {
					t.Errorf("%s%d: verdict %d, too large %v, want %v", head, size, v, req.TooLarge, want)
				}
			}
		}
	}
}

func TestOversizeDataBlockIsNotBuffered(t *testing.T) {
	p := protocol.NewParser(100, nil)
	var req protocol.Request
	line := []byte("set k 0 0 2147483645\r\n")
	n, v := p.Parse(line, &req)
	if v != protocol.Ready || n != len(line) || !req.TooLarge || req.Value != nil || string(req.Key) != "k" {
		t.Fatalf("oversize set: %d bytes, verdict %d, %s", n, v, describe(&req))
	}
	if p.Swallowing() {
		t.Error("swallows before the line is consumed")
	}
	p.Consumed(&req)
	piece := make([]byte, 1<<20)
	for left := 2147483645 + 2; left > 0; {
		if !p.Swallowing() {
			t.Fatalf("does not swallow, with %d bytes to come", left)
		}
		n, v := p.Parse(piece[:min(left, len(piece))], &req)
		if n != min(left, len(piece)) || v != protocol.NeedMore {
			t.Fatalf("consumed %d bytes with verdict %d, %d to come", n, v, left)
		}
		left -= n
	}
	if n, v := p.Parse([]byte("quit\r\n"), &req); p.Swallowing() || n != 6 || v != protocol.Ready || req.Command != protocol.Quit {
		t.Errorf("behind the data block: %d bytes, verdict %d, %s", n, v, describe(&req))
	}
}

// TestRequestThatWaits looks at requests, again and again and with more and more
// bytes behind, before it acts on them, as a server does with a read that waits
// for its turn.
func TestRequestThatWaits(t *testing.T) {
	for _, first := range []string{
		"get a b\r\n", "set a 0 0 2\r\nxy\r\n", "set a 0 0 2000000\r\n", "set a 0 x 5\r\n", "set a 0 0 1\r\nxyz", "version\n",
	} {
		p := protocol.NewParser(itemBytesMax, nil)
		input := first + "get " + strings.Repeat("key ", 100)
		var req protocol.Request
		want := ""
		for end := 1; end <= len(input); end++ {
			n, v := p.Parse([]byte(input[:end]), &req)
			switch {
			case v == protocol.NeedMore && want == "":
				if n != 0 {
					t.Fatalf("%q: consumed %d bytes of an unfinished request", input[:end], n)
				}
			case v == protocol.Ready && want == "":
				want = fmt.Sprint(n, describe(&req))
			case fmt.Sprint(n, describe(&req)) != want:
				t.Fatalf("%q: parsed again as %d %s, want %s", input[:end], n, describe(&req), want)
			}
		}
		if want == "" {
			t.Errorf("%q: no request", first)
		}
	}
}

func TestBufferBytesNeeded(t *testing.T) {
	for input, want := range map[string]int{
		"":                                  1,
		"get a":                             6,
		"set k 0 0 10\r":                    14,
		"set k 0 0 10\r\n":                  26,
		"set k 0 0 10\r\n0123456789":        26,
		"version\r\n":                       0,
		"set k 0 0 1048000 noreply\r\nxxxx": 27 + 1048000 + 2,
	} {
		p := protocol.NewParser(itemBytesMax, nil)
		var req protocol.Request
		n, v := p.Parse([]byte(input), &req)
		if v == protocol.Ready && want == 0 {
			continue
		}
		if got := p.BufferBytesNeeded(); n != 0 || v != protocol.NeedMore || got != want {
			t.Errorf("%q: consumed %d, verdict %d, needs %d bytes, want %d", input, n, v, got, want)
		}
	}
}

func TestClose(t *testing.T) {
	const multigetBytesMax = 1 << 20
	for _, c := range []struct {
		name, input string
		want        protocol.Verdict
	}{
		{"beginning of a packet", "\x80\x00\x00\x00", protocol.NeedMore},
		{"browser", "GET / HTTP/1.1\r\n", protocol.Close},
		{"line of 2048 bytes without an end", "set " + strings.Repeat("k", 2044), protocol.NeedMore},
		{"line of 2049 bytes without an end", "set " + strings.Repeat("k", 2045), protocol.Close},
		{"line of 2049 bytes with its end", "set " + strings.Repeat("k", 2045) + "\r\n", protocol.Ready},
		{"long multiget without an end", "get " + strings.Repeat("key ", 50_000), protocol.NeedMore},
		{"longest multiget without an end", "gets" + strings.Repeat(" ", multigetBytesMax-4), protocol.NeedMore},
		{"too long multiget without an end", "gets" + strings.Repeat(" ", multigetBytesMax-3), protocol.Close},
	} {
		var req protocol.Request
		if n, v := protocol.NewParser(itemBytesMax, nil).Parse([]byte(c.input), &req); v != c.want || v != protocol.Ready && n != 0 {
			t.Errorf("%s: consumed %d, verdict %d, want %d", c.name, n, v, c.want)
		}
	}
}

// TestMultigetTrickles has a long line come in small pieces. If each had the
// line scanned from its start, this would take half a minute.
func TestMultigetTrickles(t *testing.T) {
	const pieceBytes = 1
	line := []byte("get " + strings.Repeat("key ", 260_000) + "\r\n")
	p := protocol.NewParser(itemBytesMax, nil)
	var req protocol.Request
	for end := 0; end < len(line); end += pieceBytes {
		if n, v := p.Parse(line[:end], &req); n != 0 || v != protocol.NeedMore {
			t.Fatalf("after %d bytes: consumed %d, verdict %d", end, n, v)
		}
	}
	if n, v := p.Parse(line, &req); n != len(line) || v != protocol.Ready || len(req.Keys) != 260_000 {
		t.Fatalf("consumed %d bytes, verdict %d, %d keys", n, v, len(req.Keys))
	}
}
