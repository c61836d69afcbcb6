package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestEvents: the last lines are kept, whatever the level of the log is, and long ones are
// cut; the log itself stays as it was.
func TestEvents(t *testing.T) {
	var (
		e   events
		log bytes.Buffer
	)
	l := e.keep(slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn}))).With("id", 7)
	l.Debug("nobody sees this")
	for i := range eventsMax + 1 {
		l.Info(fmt.Sprint("line ", i), "of", eventsMax)
	}
	l.Warn(strings.Repeat("é", eventBytesMax))
	list := e.list()
	if len(list) != eventsMax || list[0].Text != "line 2 of=50 id=7" || list[0].Level != "INFO" || list[0].At.IsZero() {
		t.Errorf("%d lines are kept, the first is %+v", len(list), list[0])
	}
	if last := list[eventsMax-1]; last.Level != "WARN" || last.Text != strings.Repeat("é", eventBytesMax/2)+" …" {
		t.Errorf("the last is %+v", last)
	}
	l.Warn("refused", "reason", "\x1b[2J\nall is well")
	if last := e.list()[eventsMax-1]; last.Text != "refused reason=·[2J·all is well id=7" {
		t.Errorf("what a stranger says is kept as %q", last.Text)
	}
	if lines := strings.Count(log.String(), "\n"); lines != 2 || !strings.Contains(log.String(), "id=7") {
		t.Errorf("the log has %d lines, want two: %.200s", lines, &log)
	}
	if list := new(events).list(); list == nil || len(list) != 0 {
		t.Errorf("without a line: %v", list)
	}
}
