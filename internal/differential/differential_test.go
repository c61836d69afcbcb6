package main

import (
	"bufio"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"raftcached/internal/cluster"
)

// TestShortRun compares a few requests in every ordinary test run. A longer one,
// with another seed each time, is `make differential`.
func TestShortRun(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	cluster.NeedMemcached(t)
	var out, errs strings.Builder
	args := []string{"-n", "20000", "-seed", "1", "-streams", "32", "-dir", t.TempDir()}
	if code := run(args, &out, &errs); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out.String(), errs.String())
	}
	t.Log(out.String())
}

// TestSeedDecides: the requests depend on the seed and the stream alone.
func TestSeedDecides(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	o := options{meta: true, binary: true}
	for stream := range uint64(50) {
		first, second := newGenerator(7, stream, o).stream(), newGenerator(7, stream, o).stream()
		if !reflect.DeepEqual(first, second) {
			t.Fatalf("stream %d of seed 7 differs from itself", stream)
		}
	}
	if reflect.DeepEqual(newGenerator(7, 1, o).stream(), newGenerator(8, 1, o).stream()) {
		t.Error("seeds 7 and 8 give the same stream")
	}
}

func TestCompare(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	for _, c := range []struct {
		name         string
		ours, theirs string
		equal        bool
	}{
		{"the same", "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n", "STORED\r\nVALUE k 0 1\r\nx\r\nEND\r\n", true},
		{"another value", "VALUE k 0 1\r\nx\r\nEND\r\n", "VALUE k 0 1\r\ny\r\nEND\r\n", false},
		{"one answer more", "STORED\r\nSTORED\r\n", "STORED\r\n", false},
		{"cas uniques in step", "HD c5\r\nHD c6\r\nHD c5\r\n", "HD c70\r\nHD c90\r\nHD c70\r\n", true},
		{"a cas unique that should have changed", "HD c5\r\nHD c5\r\n", "HD c70\r\nHD c90\r\n", false},
		{"a cas unique that should not have changed", "HD c5\r\nHD c6\r\n", "HD c70\r\nHD c70\r\n", false},
		{"no cas unique", "HD c0\r\n", "HD c7\r\n", false},
		{"a second apart", "HD t99\r\n", "HD t100\r\n", true},
		{"a minute apart", "HD t40\r\n", "HD t100\r\n", false},
		{"never and soon", "HD t-1\r\n", "HD t0\r\n", false},
		{"an opaque is no time", "HD O10\r\n", "HD O11\r\n", false},
		{"a key in base64", "HD kYQ== b\r\n", "HD ka\r\n", true},
		{"another key", "HD kYQ== b\r\n", "HD kb\r\n", false},
		{"slabs", "ME k exp=-1 la=0 cas=1 fetch=no cls=0 size=70\r\n", "ME k exp=-1 la=1 cas=8 fetch=no cls=1 size=65\r\n", true},
		{"statistics", "STAT a 1\r\nEND\r\n", "STAT b 1\r\nSTAT c 2\r\nEND\r\n", true},
		{"bytes after a data block", "CLIENT_ERROR bad data chunk\r\nEND\r\n", "CLIENT_ERROR bad data chunk\r\nERROR\r\nEND\r\n", true},
		{"an error that only one answers", "END\r\n", "ERROR\r\nEND\r\n", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := kept(unitsOf(t, c.ours), false), kept(unitsOf(t, c.theirs), true)
			if at := newComparer().firstDifference(ours, theirs); (at < 0) != c.equal {
				t.Errorf("first difference at %d, want equal %v", at, c.equal)
			}
		})
	}
}

func unitsOf(t *testing.T, answers string) []unit {
	t.Helper()
	var units []unit
	for r := bufio.NewReader(strings.NewReader(answers)); ; {
		u, err := readUnit(r, textProtocol)
		if err != nil {
			return units
		}
		units = append(units, u)
	}
}

// TestWithout shows how a difference is reduced: requests are counted through all
// batches, and an empty batch is removed.
func TestWithout(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	batches := []batch{
		{commands: []command{literal("a"), literal("b")}},
		{commands: []command{literal("c")}},
		{commands: []command{literal("d")}},
	}
	got := ""
	for _, b := range without(batches, 1, 2) {
		got += "|"
		for _, c := range b.commands {
			got += string(c.head)
		}
	}
	if got != "|a|d" {
		t.Errorf("left are %q, want |a|d", got)
	}
}

func TestQuote(t *testing.T) {
	if testing.Short() {
		t.Skip("compares answers: not in a short run")
	}
	got := quote(fmt.Appendf(nil, "set k 0 0 50\r\n%s\xff\r\n", strings.Repeat("x", 50)))
	if want := `"set k 0 0 50\r\n<50*x>\xff\r\n"`; got != want {
		t.Errorf("quote gives %s, want %s", got, want)
	}
}
