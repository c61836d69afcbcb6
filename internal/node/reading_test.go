package node

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"raftcached/internal/admin"
)

// TestReadingLogIsTold: who waits for a long log learns how much of it was read, in
// the server log once a second, at the admin port at any time.
func TestReadingLogIsTold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		n := &Node{cfg: Config{Logger: slog.New(slog.NewTextHandler(&log, nil)), Servers: []Server{{}}}}
		n.life.stage.Store(stageReading)
		progress := n.readingLog()
		progress(100<<20, 989<<20)
		time.Sleep(progressPeriod)
		progress(640<<20, 989<<20)
		progress(641<<20, 989<<20)
		if got := strings.Count(log.String(), "reading log"); got != 1 || !strings.Contains(log.String(), `msg="reading log 640 of 989 MiB"`) {
			t.Errorf("logged %q", log.String())
		}
		if state, reason := (adminNode{n}).Ready(t.Context()); state != admin.StateStarting || reason != "it reads its log, 641 of 989 MiB" {
			t.Errorf("the state is %q: %q", state, reason)
		}
	})
}
