package protocol_test

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"raftcached/protocol"
)

const (
	fuzzItemBytesMax = 200 // small, so that the fuzzer finds what is larger
	lineBytesMax     = 2048
)

// FuzzParse parses any bytes, whole and cut into pieces by a seed. It checks what
// a server relies on at each step (checkStep), that how the bytes arrive makes no
// difference, and that a request that is encoded parses as itself.
func FuzzParse(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte, seed uint64) {
		if len(input) > 0 && input[0] == 0x80 {
			return // see FuzzBinary
		}
		whole := newClient(fuzzItemBytesMax)
		whole.check = func(b []byte, n int, v protocol.Verdict, r *protocol.Request) {
			checkStep(t, whole.parser, b, n, v, r)
			if v == protocol.Ready && r.Command != protocol.Invalid && !r.TooLarge {
				checkRoundTrip(t, r)
			}
		}
		whole.receive(input)

		pieces := newClient(fuzzItemBytesMax)
		pieces.check = func(b []byte, n int, v protocol.Verdict, r *protocol.Request) {
			checkStep(t, pieces.parser, b, n, v, r)
		}
		random := rand.New(rand.NewPCG(seed, 0))
		for rest := input; len(rest) > 0; {
			n := 1 + random.IntN(min(len(rest), 1+random.IntN(64)))
			pieces.receive(rest[:n])
			rest = rest[n:]
		}
		if slices.Equal(whole.found, pieces.found) {
			return
		}
		// A line that is too long is let pass only if its end is there when the
		// parser first looks.
		before := len(pieces.found) - 1
		if pieces.closed && len(whole.found) >= before && slices.Equal(whole.found[:before], pieces.found[:before]) && hasLongLine(input) {
			return
		}
		t.Errorf("in pieces:\n%s\nwhole:\n%s", strings.Join(pieces.found, "\n"), strings.Join(whole.found, "\n"))
	})
}

func hasLongLine(input []byte) bool {
	for line := range bytes.Lines(input) {
		if len(line) > lineBytesMax {
			return true
		}
	}
	return false
}

// checkStep checks what Parse made of b.
func checkStep(t *testing.T, p *protocol.Parser, b []byte, n int, v protocol.Verdict, r *protocol.Request) {
	t.Helper()
	switch {
	case n < 0 || n > len(b):
		t.Fatalf("consumed %d of %d bytes", n, len(b))
	case v == protocol.Close && n != 0:
		t.Fatalf("consumed %d bytes and closes", n)
	case v == protocol.NeedMore && n == 0 && p.BufferBytesNeeded() <= len(b):
		t.Fatalf("needs more than %d bytes, but says %d", len(b), p.BufferBytesNeeded())
	case v != protocol.Ready:
		return
	case n == 0:
		t.Fatal("a request of no bytes")
	}
	keys := r.Keys
	if r.Key != nil {
		keys = append([][]byte{r.Key}, keys...)
	}
	for _, key := range keys {
		if len(key) < 1 || len(key) > 250 || bytes.ContainsAny(key, " \n") && !r.Form.Base64 {
			t.Fatalf("key %q", key)
		}
	}
	isStore := r.Command.IsStore()
	if isStore && !r.TooLarge && r.Value == nil || r.TooLarge && (r.Value != nil || !isStore) {
		t.Fatalf("%s: value %q", describe(r), r.Value)
	}
	if r.Reply != "" && (r.Command != protocol.Invalid || !strings.HasSuffix(r.Reply, "\r\n")) {
		t.Fatalf("%s: reply %q", describe(r), r.Reply)
	}
	described := describe(r)
	var again protocol.Request
	if m, w := p.Parse(b, &again); m != n || w != v || describe(&again) != described {
		t.Fatalf("%q parsed again: %d bytes, verdict %d, %s; before %d, %d, %s", b, m, w, describe(&again), n, v, described)
	}
}

// checkRoundTrip encodes a request and parses that.
func checkRoundTrip(t *testing.T, r *protocol.Request) {
	t.Helper()
	encoded := protocol.AppendRequest(nil, r)
	var parsed protocol.Request
	n, v := protocol.NewParser(fuzzItemBytesMax, nil).Parse(encoded, &parsed)
	if n != len(encoded) || v != protocol.Ready || describe(&parsed) != describe(r) {
		t.Fatalf("%s is encoded as %q and parsed, with verdict %d, as %s", describe(r), encoded, v, describe(&parsed))
	}
}
