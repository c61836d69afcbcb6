package ctl

import (
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

// topSample is what two servers of three answer at a time.
func topSample(at time.Time, reads, hits, writes uint64) *overview.Sample {
	replies := cases()["degraded"]
	replies[0].Status.ClusterVersion = 1
	replies[0].Status.Figures = &admin.Figures{
		Reads: reads, Hits: hits, Writes: writes, Elections: 2,
		Commit:  admin.Latency{UpToSeconds: []float64{0.001, 0.002}, Counts: []uint64{reads / 2, reads / 2, 0}},
		HotKeys: []admin.HotKey{{Key: "session:42", Reads: 812, Writes: 1}, {Key: strings.Repeat("k", 50), Reads: 3}},
		Slow:    []admin.SlowCommand{{At: lostAt, Command: "set", Key: "cart:9", Ms: 612, Causes: map[string]float64{"leader": 540}}},
		Events:  []admin.Event{{At: lostAt, Level: "INFO", Text: "server 0 leads"}, {At: lostAt.Add(time.Second), Level: "WARN", Text: "lost server 1"}},
	}
	return &overview.Sample{At: at, Replies: replies}
}

// TestTopText: what the cluster does is below the table of status.
func TestTopText(t *testing.T) {
	at := time.Unix(100, 0)
	shot := overview.NewSnapshot(topSample(at, 1000, 900, 0), topSample(at.Add(time.Second), 4412, 4217, 211), -1, listing())
	text := topText(shot, false)
	for _, want := range []string{
		"· DEGRADED: one more loss stops it\n", "UNREACHABLE", "raftcachectl member replace 1", "\n cluster version 1\n",
		"\n 3,412 reads/s  211 writes/s  97.2 % hits | leaders in the last hour 2\n",
		"\n ms p50/p99: read -/-  write -/-  commit 1.00/1.98 | sync p99 -\n",
		"\n HOT KEYS      812 reads/s      1 writes/s  session:42\n                 3 reads/s      0 writes/s  " + strings.Repeat("k", 39) + "…\n",
		"\n SLOW      2026-01-02 18:11:32 server 0 set cart:9 612 ms (leader 540)\n",
		"\n EVENTS 0  2026-01-02 18:11:33 warn  lost server 1\n           2026-01-02 18:11:32 info  server 0 leads\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the text lacks %q:\n%s", want, text)
		}
	}
	if text := topText(overview.NewSnapshot(nil, topSample(at, 1, 1, 1), -1, listing()), false); !strings.Contains(text, " no rates yet |") {
		t.Errorf("without an earlier sample:\n%s", text)
	}
}

// TestTopOnce: for scripts one text, without a single escape, and the exit code of status.
func TestTopOnce(t *testing.T) {
	f := &fakeServer{status: *statusOf(0, 3), list: three(), figures: &admin.Figures{Reads: 5}}
	code, stdout, stderr := run(t, nil, "top", "-n", "1", "-s", operated(t, f))
	if code != exitOK || !strings.Contains(stdout, "0 reads/s  0 writes/s  - % hits") || strings.Contains(stdout, "\x1b") {
		t.Errorf("exit code %d, wrote\n%s%s", code, stdout, stderr)
	}
	if code, stdout, _ := run(t, nil, "top", "-n", "2", "-s", operated(t, f)); code != exitOK || strings.Count(stdout, "cluster a7e2521a") != 2 {
		t.Errorf("twice: exit code %d, wrote\n%s", code, stdout)
	}
	if code, stdout, _ := run(t, nil, "top", "-n", "1", "-s", "127.0.0.1:1"); code != exitNoMajority || !strings.Contains(stdout, "no server answers") {
		t.Errorf("when nobody answers: exit code %d, wrote %q", code, stdout)
	}
	if code, _, stderr := run(t, nil, "top", "-n", "-1"); code != exitUsage || !strings.Contains(stderr, "too few") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

// TestRedrawn: lines are as long as a terminal is wide, whatever their colors.
func TestRedrawn(t *testing.T) {
	if got := redrawn("a\nb\n", &strings.Builder{}); got != "\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J" {
		t.Errorf("%q", got)
	}
	for line, want := range map[string]string{"abc": "abc", "abcd": "abc\x1b[0m", "\x1b[1;31mabcd\x1b[0m": "\x1b[1;31mabc\x1b[0m", "·é…x": "·é…\x1b[0m"} {
		if got := clipped(line, 3); got != want {
			t.Errorf("%q is cut to %q, want %q", line, got, want)
		}
	}
}
