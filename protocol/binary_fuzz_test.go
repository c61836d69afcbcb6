package protocol_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

// FuzzBinary parses any bytes as packets, whole and cut into pieces by a seed. It
// checks what FuzzParse checks of text.
func FuzzBinary(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, seed uint64) {
		input = append([]byte{0x80}, input...)
		whole := newClient(fuzzItemBytesMax)
		whole.check = func(b []byte, n int, v protocol.Verdict, r *protocol.Request) {
			checkPacket(t, whole.parser, b, n, v, r)
		}
		whole.receive(input)

		pieces := newClient(fuzzItemBytesMax)
		pieces.check = func(b []byte, n int, v protocol.Verdict, r *protocol.Request) {
			checkPacket(t, pieces.parser, b, n, v, r)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		for rest := input; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 1+random.IntN(64)))
			pieces.receive(rest[:n])
			rest = rest[n:]
		}
		if !slices.Equal(whole.found, pieces.found) {
			t.Errorf("in pieces:\n%s\nwhole:\n%s", strings.Join(pieces.found, "\n"), strings.Join(whole.found, "\n"))
		}
	})
}

// checkPacket checks what Parse made of b.
func checkPacket(t *testing.T, p *protocol.Parser, b []byte, n int, v protocol.Verdict, r *protocol.Request) {
	t.Helper()
	const largestBytes = 24 + 20 + 250 + 4096 // header, extras, key, and what SASL may need
	switch {
	case n < 0 || n > len(b):
		t.Fatalf("consumed %d of %d bytes", n, len(b))
	case v == protocol.Close && n != 0:
		t.Fatalf("consumed %d bytes and closes", n)
	case v == protocol.NeedMore && n == 0 && (p.BufferBytesNeeded() <= len(b) || p.BufferBytesNeeded() > largestBytes):
		t.Fatalf("has %d bytes and needs %d", len(b), p.BufferBytesNeeded())
	case v != protocol.Ready:
		return
	case n < 24 || n > largestBytes:
		t.Fatalf("a request of %d bytes", n)
	case r.Form.Codec != protocol.Binary || r.NoReply || r.Reply != "":
		t.Fatalf("%s is not of the binary protocol", describe(r))
	case (r.Command == protocol.Invalid) != (r.Status != protocol.StatusNone):
		t.Fatalf("%s has status %d", describe(r), r.Status)
	case r.HangUp && r.Command != protocol.Invalid:
		t.Fatalf("%s hangs up", describe(r))
	case len(r.Key) > 250 || len(r.Value) > n:
		t.Fatalf("%s of %d bytes", describe(r), n)
	}
	if r.Command == protocol.Invalid {
		if answer := protocol.AppendInvalid(nil, r); len(answer) <= 24 {
			t.Fatalf("%s is answered %q", describe(r), answer)
		}
		return
	}
	for s := protocol.StatusNone; s <= protocol.StatusAuthFailure; s++ {
		protocol.AppendAnswer(nil, r.Command, &r.Form, &protocol.Result{Status: s, Value: r.Value})
	}
	if r.TooLarge {
		return
	}
	described := describe(r)
	encoded := protocol.AppendRequest(nil, r)
	var again protocol.Request
	if m, w := protocol.NewParser(fuzzItemBytesMax, nil).Parse(encoded, &again); m != len(encoded) || w != v || describe(&again) != described {
		t.Fatalf("%s is encoded as %q and parsed, with verdict %d, as %s", described, encoded, w, describe(&again))
	}
	if m, w := p.Parse(b, &again); m != n || w != v || describe(&again) != described {
		t.Fatalf("%q parsed again: %d bytes, verdict %d, %s; before %d, %d, %s", b, m, w, describe(&again), n, v, described)
	}
}
