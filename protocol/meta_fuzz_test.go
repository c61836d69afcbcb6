package protocol_test

import (
	"bytes"
	"fmt"
	"testing"

	"raftcached/internal/item"
	"raftcached/protocol"
)

// FuzzMeta makes a meta command of what it is given, which may turn out to be
// several. Besides what FuzzParse checks, a request needs no more bytes than it
// consumed, and every result has an answer of whole lines.
func FuzzMeta(f *testing.F) {
	f.Fuzz(func(t *testing.T, name uint8, key, flags, value []byte) {
		const names = "gsdane"
		input := fmt.Appendf(nil, "m%c %s", names[int(name)%len(names)], key)
		if names[int(name)%len(names)] == 's' {
			input = fmt.Appendf(input, " %d %s\r\n%s\r\n", len(value), flags, value)
		} else {
			input = fmt.Appendf(input, " %s\r\n", flags)
		}
		c := newClient(fuzzItemBytesMax)
		c.check = func(b []byte, n int, v protocol.Verdict, r *protocol.Request) {
			checkStep(t, c.parser, b, n, v, r)
			if v != protocol.Ready {
				return
			}
			checkAlone(t, b[:n:n], r)
			if r.Command == protocol.Invalid {
				return
			}
			if !r.TooLarge {
				checkRoundTrip(t, r)
			}
			if r.Form.Codec == protocol.Meta {
				checkAnswers(t, r)
			}
		}
		c.receive(input)
	})
}

// checkAlone parses the bytes of a request without what follows them, as the
// second one of a connection: the first byte decides what that speaks.
func checkAlone(t *testing.T, b []byte, r *protocol.Request) {
	t.Helper()
	p := protocol.NewParser(fuzzItemBytesMax, nil)
	var alone protocol.Request
	if _, v := p.Parse([]byte("mn\r\n"), &alone); v != protocol.Ready {
		t.Fatalf("mn has verdict %d", v)
	}
	p.Consumed(&alone)
	n, v := p.Parse(b, &alone)
	if n != len(b) || v != protocol.Ready || describe(&alone) != describe(r) {
		t.Fatalf("%s is, without what follows it, with verdict %d, %s", describe(r), v, describe(&alone))
	}
}

// checkAnswers forms the answers to a request for all outcomes.
func checkAnswers(t *testing.T, r *protocol.Request) {
	t.Helper()
	for s := protocol.StatusStored; s <= protocol.StatusBusy; s++ {
		result := protocol.Result{
			Status: s, Flags: 1, CAS: 2, Number: 3, Value: []byte("value"), SizeBytes: 5, TTLSeconds: -1,
			Marks: item.Won | item.Stale | item.HitBefore,
		}
		answer := protocol.AppendAnswer([]byte("before "), r.Command, &r.Form, &result)
		rest, ok := bytes.CutPrefix(answer, []byte("before "))
		switch {
		case !ok:
			t.Fatalf("%s: status %d is answered %q", describe(r), s, answer)
		case len(rest) == 0 && r.Form.Quiet:
		case !bytes.HasSuffix(rest, []byte("\r\n")):
			t.Fatalf("%s: status %d is answered %q", describe(r), s, rest)
		}
	}
}
