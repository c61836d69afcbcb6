//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// TestMain lets the test program be its own children.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == childWord {
		fmt.Fprintln(os.Stderr, runChild(os.Args[2:]))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// TestEachRival runs a short round of each row that has a rival of its own, with all
// rivals that are installed, and looks at what is reported.
func TestEachRival(t *testing.T) {
	chosen, err := choose([]string{"set1", "in64", "deep64", "mix50", "get200", "open"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	r := runner{launcher: launcher{dir: dir}, duration: 500 * time.Millisecond, rounds: 1, rate: 50}
	if r.launcher.programs, err = findPrograms(t.Context(), dir, "redis-server"); err != nil {
		t.Fatal(err)
	}
	if r.launcher.programs.redis == "" {
		t.Log("Redis is not installed: its rows are left out")
	}
	if _, err := cluster.FindMemcached(); err != nil {
		t.Logf("its rows are left out: %v", err)
	}
	rep := report{Rounds: r.rounds, Duration: r.duration}
	for _, row := range chosen {
		o, err := r.measureRow(t.Context(), row)
		if err != nil {
			t.Fatal(err)
		}
		for _, target := range o.targets {
			for _, one := range o.rounds[target.name] {
				if one.Errors > 0 || one.Ops == 0 || one.P50 <= 0 || one.P999 < one.P50 || one.Gap <= 0 || one.rssBytes == 0 {
					t.Errorf("row %s, %s: %+v", row.name, target.name, one)
				}
			}
		}
		rep.add(o)
	}
	var text bytes.Buffer
	page := filepath.Join(dir, "page.html")
	if err := errors.Join(rep.writeMarkdown(&text), rep.writePage(page)); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"in64", "dragonboat-tan, dragonboat-pebble", "≥ 1.20x"} {
		if !strings.Contains(text.String(), want) || !strings.Contains(string(html), want) {
			t.Errorf("the report lacks %q:\n%s", want, &text)
		}
	}
}

// TestFigureAgainstTheBetter: the better rival of each round counts, whichever way a
// figure is reached.
func TestFigureAgainstTheBetter(t *testing.T) {
	second := func(ops int64, servers time.Duration, p50 time.Duration) round {
		return round{Measured{Ops: ops, Elapsed: time.Second, P50: p50, Gap: p50}, cost{serverCPU: servers}}
	}
	o := outcome{
		targets: []target{weInside, tanLog, pebbleLog},
		rounds: map[string][]round{
			weInside.name:  {second(100, time.Second, 10), second(100, time.Second, 10), second(100, time.Second, 10)},
			tanLog.name:    {second(50, time.Second, 20), second(200, time.Second, 5), second(80, time.Second, 10)},
			pebbleLog.name: {second(25, time.Second, 30), second(100, time.Second, 10), second(400, time.Second, 2)},
		},
	}
	both := []target{tanLog, pebbleLog}
	for _, c := range []struct {
		f    figure
		want float64
	}{
		{figure{what: rate, rivals: both}, 0.5},              // of 2, 0.5, 0.25
		{figure{what: rate, rivals: []target{tanLog}}, 1.25}, // of 2, 0.5, 1.25
		{figure{what: cpu, rivals: both}, 2},                 // of 0.5, 2, 4
		{figure{what: p50, rivals: both}, 0.5},               // of 2, 0.5, 0.2
		{figure{what: gapMs}, 0.00001},
	} {
		if got, ok := o.reached(c.f); !ok || got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("figure %+v is %v, want %v", c.f, got, c.want)
		}
	}
	if _, ok := o.reached(figure{what: rate, rivals: []target{etcd}}); ok {
		t.Error("a figure against a rival that did not run is there")
	}
}

// TestDriveCountsWhatWasDue: with a rate, a client that hangs delays all that is due.
func TestDriveCountsWhatWasDue(t *testing.T) {
	const length = 100 * time.Millisecond
	ctx, cancel := context.WithTimeout(t.Context(), 2*length)
	defer cancel()
	hang := func(context.Context, string, []byte) error {
		<-ctx.Done()
		return nil
	}
	w := bench.DefaultWorkload
	w.GetRatio, w.Conns, w.Rate = 0, 1, 1000
	m, err := drive(t.Context(), []setter{hang}, w, length)
	if err != nil || m.Ops != 0 || m.Unanswered != 100 || m.Gap != length || m.P50 < length/3 {
		t.Errorf("%+v, %v; want 100 requests without an answer", m, err)
	}
}

// TestChoose: names that do not exist are errors, and -rivals leaves the others out.
func TestChoose(t *testing.T) {
	chosen, err := choose([]string{"set64", "in64"}, []string{"redis", "dragonboat"})
	if err != nil || len(chosen) != 2 || len(chosen[0].targets) != 2 || len(chosen[1].targets) != 3 {
		t.Errorf("chosen %+v, %v", chosen, err)
	}
	if _, err := choose([]string{"set65"}, nil); err == nil {
		t.Error("a row that does not exist was chosen")
	}
	if _, err := choose(nil, []string{"raftcached"}); err == nil {
		t.Error("we are our own rival")
	}
}

// TestParseBusy: idle time and waiting for disks are not busy, guests count once.
func TestParseBusy(t *testing.T) {
	got, stolen, err := parseBusy("cpu  1 2 4 1000 1000 8 16 32 1 2\ncpu0 5 5 5 5 5 5 5 5 5 5\n")
	if want, steal := 63*(time.Second/ticksPerSecond), 32*(time.Second/ticksPerSecond); err != nil || got != want || stolen != steal {
		t.Errorf("busy for %v, of it stolen %v, %v; want %v, %v", got, stolen, err, want, steal)
	}
	if _, _, err := parseBusy("cpu 1 2"); err == nil {
		t.Error("a line that is too short is taken")
	}
}

// TestBystander: it tells by how much the longest of its naps was longer than it should be.
func TestBystander(t *testing.T) {
	naps := []time.Duration{bystanderNap, 50 * time.Millisecond, bystanderNap, 2 * bystanderNap}
	var clock time.Time
	calls, slept := 0, make(chan struct{})
	b := watchMachine(func() time.Time {
		if calls%2 == 1 && calls/2 < len(naps) { // at the end of a nap
			clock = clock.Add(naps[calls/2])
		}
		if calls++; calls == 2*len(naps)+1 {
			close(slept)
		}
		return clock
	})
	<-slept
	if late, want := b.end(), naps[1]-bystanderNap; late != want {
		t.Errorf("it was woken %v late, want %v", late, want)
	}
}
