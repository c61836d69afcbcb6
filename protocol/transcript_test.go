package protocol_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"raftcached/internal/cluster"
	"raftcached/internal/transcript"
	"raftcached/protocol"
)

func loadTranscripts(t *testing.T) []transcript.Block {
	t.Helper()
	blocks, err := transcript.LoadAll("testdata")
	if err != nil || len(blocks) == 0 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	return blocks
}

// requests feeds input to a parser in the given pieces and describes each
// request that comes out.
func requests(pieces []string) (described []string) {
	p := protocol.NewParser(1<<20, nil)
	var buffered []byte
	var req protocol.Request
	for _, piece := range pieces {
		buffered = append(buffered, piece...)
		for {
			n, v := p.Parse(buffered, &req)
			if v == protocol.Close {
				return append(described, "close")
			}
			if v == protocol.Ready {
				described = append(described, fmt.Sprintf("%d %v %v %d %d %d %d %q %q %d %q %q", req.Command, req.NoReply, req.TooLarge,
					req.Flags, req.Exptime, req.CAS, req.Delta, req.Key, req.Keys, len(req.Value), req.Arg, req.Reply))
				if req.Form.Codec == protocol.Binary {
					described = append(described, describe(&req))
				}
				p.Consumed(&req)
			}
			buffered = buffered[n:]
			if v == protocol.NeedMore && n == 0 || len(buffered) == 0 {
				break
			}
		}
	}
	return described
}

// TestSplitAnywhere cuts what the clients of the transcripts send at every byte:
// the parser finds the same requests.
func TestSplitAnywhere(t *testing.T) {
	for _, b := range loadTranscripts(t) {
		input := b.Requests()
		want := requests([]string{input})
		for _, at := range cuts(input) {
			got := requests([]string{input[:at], input[at:]})
			if !slices.Equal(got, want) {
				t.Fatalf("%s:%d: cut at byte %d the requests are\n%s\nnot\n%s", b.File, b.Line, at, strings.Join(got, "\n"), strings.Join(want, "\n"))
			}
		}
	}
}

// cuts returns where to cut input: everywhere, or, if it is long, where lines
// end and begin, and at some other places.
func cuts(input string) (at []int) {
	const (
		everywhereBytesMax = 10_000
		aroundLineEnd      = 1
		otherPlaces        = 5
	)
	for i := 1; i < len(input); i++ {
		around := input[max(0, i-aroundLineEnd):min(len(input), i+aroundLineEnd)]
		if len(input) <= everywhereBytesMax || strings.Contains(around, "\n") || i%(len(input)/otherPlaces) == 0 {
			at = append(at, i)
		}
	}
	return at
}

// TestRealMemcached replays the transcripts against the real program, to prove
// that they are right. TEST_RAFTCACHED_MEMCACHED names another one than that in PATH.
func TestRealMemcached(t *testing.T) {
	addr, version := startMemcached(t)
	var older, ours int
	var waiting []func()
	for i, b := range loadTranscripts(t) {
		if b.Ours != "" {
			ours++
			continue
		}
		if b.Real != "" && transcript.OlderThan(version, b.Real) {
			older++
			continue
		}
		play := func(addr string) {
			if err := b.ReplayAt(addr, transcript.Options{Run: fmt.Sprint(i)}); err != nil {
				t.Error(err)
			}
		}
		if !b.Waits() {
			play(addr)
			continue
		}
		own := addr
		if strings.HasSuffix(b.File, "flush.txt") {
			own, _ = startMemcached(t) // what it flushes would be missed by others
		}
		waiting = append(waiting, func() { play(own) })
	}
	var wg sync.WaitGroup
	for _, play := range waiting { // after all flushes of the server that they share
		wg.Go(play)
	}
	wg.Wait()
	t.Logf("memcached %s: %d blocks skipped that need a newer one, %d where this server differs on purpose", version, older, ours)
}

// startMemcached starts the real program and returns where it listens, and its
// version.
func startMemcached(t *testing.T) (addr, version string) {
	t.Helper()
	cluster.NeedMemcached(t)
	m, err := cluster.StartMemcached(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m.Addr, strings.TrimPrefix(m.Version, "memcached ")
}
