package server

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"
)

// TestFloodOfFlushesIsCounted: who sends flush_all again and again fills no disk with lines of
// the log. They are told of when there is room.
func TestFloodOfFlushesIsCounted(t *testing.T) {
	var log bytes.Buffer
	f := openFake(newMemory(), "")
	now := time.Now()
	f.c.loop.options.Now = func() time.Time { return now }
	f.c.loop.log = slog.New(slog.NewTextHandler(&log, nil))
	f.receive(strings.Repeat("flush_all noreply\r\n", 100))
	if n := strings.Count(log.String(), "\n"); n != announceMax {
		t.Errorf("%d lines of 100 flush_all, want %d", n, announceMax)
	}
	log.Reset()
	now = now.Add(announcePeriod)
	f.receive("flush_all noreply\r\n")
	if got := log.String(); strings.Count(got, "\n") != 1 || !strings.HasSuffix(got, "msg=\"flush_all from client\" unlogged=90\n") {
		t.Errorf("later it logs %q", got)
	}
}
