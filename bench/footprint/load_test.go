//go:build linux

package footprint

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tally is what a load asks for.
type tally struct {
	verbs    map[string]int
	expiring int
	lengths  []int // of values
	keys     map[string]bool
}

// tallyOf reads n requests of a load as a server would.
func tallyOf(t *testing.T, l Load, n int, limitBytes int64, progress float64) tally {
	t.Helper()
	var stream []byte
	r := newRequester(1, 0, limitBytes)
	for range n {
		stream = l.appendRequest(stream, r, progress)
	}
	got := tally{verbs: map[string]int{}, keys: map[string]bool{}}
	for in := bufio.NewReader(bytes.NewReader(stream)); ; {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return got
		}
		words := strings.Fields(line)
		got.verbs[words[0]]++
		got.keys[words[1]] = true
		if words[0] == "set" {
			length, err := strconv.Atoi(words[4])
			if err != nil {
				t.Fatal(err)
			}
			if words[3] != "0" {
				got.expiring++
			}
			got.lengths = append(got.lengths, length)
			if value, err := io.ReadAll(io.LimitReader(in, int64(length+2))); err != nil || !bytes.HasSuffix(value, []byte("\r\n")) {
				t.Fatalf("value of %q does not end after %d bytes: %v", line, length, err)
			}
		}
	}
}

// TestOverwrites counts kinds of requests: 20 % deletes, 5 % touches, 5 % sets
// that expire, within what chance allows.
func TestOverwrites(t *testing.T) {
	const n = 10_000
	got := tallyOf(t, Loads()[0], n, 64<<20, 0)
	for _, c := range []struct {
		name        string
		count, want int
	}{
		{"deletes", got.verbs["delete"], n / 5}, {"touches", got.verbs["touch"], n / 20}, {"expiring sets", got.expiring, n / 20},
	} {
		if c.count < c.want*8/10 || c.count > c.want*12/10 {
			t.Errorf("%d %s of %d requests, want about %d", c.count, c.name, n, c.want)
		}
	}
	for _, length := range got.lengths {
		if length < 10 || length > 4000 {
			t.Errorf("value of %d bytes", length)
		}
	}
}

// TestSwitch: 100 bytes while the cache fills and in the first and the last third
// of the measurement, 10 KiB in between.
func TestSwitch(t *testing.T) {
	for _, c := range []struct {
		progress float64
		want     int
	}{{0, 100}, {0.3, 100}, {0.4, 10 << 10}, {0.6, 10 << 10}, {0.7, 100}, {1, 100}} {
		for _, length := range tallyOf(t, Loads()[1], 10, 64<<20, c.progress).lengths {
			if length != c.want {
				t.Errorf("progress %v: value of %d bytes, want %d", c.progress, length, c.want)
			}
		}
	}
}

// TestKeySpace: the items of all keys together are several times the limit, and
// hardly more keys are used.
func TestKeySpace(t *testing.T) {
	const limitBytes = 20 << 10
	for _, l := range Loads()[:3] {
		got := tallyOf(t, l, 20_000, limitBytes, 0)
		sum := 0
		for _, length := range got.lengths {
			sum += length
		}
		mean := sum/len(got.lengths) + 16
		if all := len(got.keys) * mean; all < keySpace*limitBytes*9/10 || all > keySpace*limitBytes*11/10 {
			t.Errorf("%s: %d keys of %d bytes each, want %d times %d bytes", l.Name, len(got.keys), mean, keySpace, limitBytes)
		}
	}
}

func TestBig(t *testing.T) {
	const n = 2000
	big := 0
	for _, length := range tallyOf(t, Loads()[3], n, 64<<20, 0).lengths {
		switch {
		case length >= bigValueMin && length <= bigValueMax:
			big++
		case length < 100 || length > 1000:
			t.Errorf("value of %d bytes", length)
		}
	}
	if big < n/100 || big > n*3/100 {
		t.Errorf("%d of %d values are big, want about 2 %%", big, n)
	}
}

// answerer is a server that answers each line with the next of its answers, in
// turn. It hangs up instead when they are empty.
func answerer(t *testing.T, answers ...string) (addr string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var conns sync.WaitGroup
	conns.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			conns.Go(func() {
				defer func() { _ = conn.Close() }()
				for in, i := bufio.NewScanner(conn), 0; len(answers) > 0 && in.Scan(); i++ {
					if _, err := fmt.Fprintf(conn, "%s\r\n", answers[i%len(answers)]); err != nil {
						return
					}
				}
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		conns.Wait()
	})
	return l.Addr().String()
}

// oneLine is a load of requests of one line each, of which the test is told.
func oneLine(sent func()) Load {
	return Load{"one line", func(dst []byte, _ *requester, _ float64) []byte {
		sent()
		return append(dst, "delete k\r\n"...)
	}}
}

// TestDrive counts answers, of which every fourth is an error, until it is told
// to end.
func TestDrive(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var sent atomic.Int64
	load := oneLine(func() {
		if sent.Add(1) == 1000 {
			cancel()
		}
	})
	p := Pressure{Addrs: []string{answerer(t, "DELETED", "NOT_FOUND", "DELETED", "SERVER_ERROR no leader")}, Conns: 3, Depth: 4, Seed: 1}
	a, err := Drive(ctx, load, p, func() float64 { return 0 })
	if err != nil {
		t.Fatal(err)
	}
	if a.Requests != sent.Load() || a.Errors != a.Requests/4 || a.FirstError != "SERVER_ERROR no leader" {
		t.Errorf("answers are %+v, to %d requests", a, sent.Load())
	}
}

// TestDriveFails: a server that hangs up on one connection ends all.
func TestDriveFails(t *testing.T) {
	p := Pressure{Addrs: []string{answerer(t, "DELETED"), answerer(t)}, Conns: 2, Depth: 4, Seed: 1}
	if _, err := Drive(t.Context(), oneLine(func() {}), p, func() float64 { return 0 }); err == nil {
		t.Error("no error although a server hung up")
	}
}
