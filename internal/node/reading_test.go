package node

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"raftcached/internal/admin"

	"golang.org/x/sys/unix"
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

// TestMetricsWhileFilesAreRead: Prometheus is told of the disk by a server that still reads.
func TestMetricsWhileFilesAreRead(t *testing.T) {
	cfg := loneConfig(t)
	if err := openNode(t, cfg).Close(); err != nil {
		t.Fatal(err)
	}
	slow := filepath.Join(cfg.DataDir, "snap", fmt.Sprintf("%016x-%016x.snap", 1, 1)) // reading it takes as long as the test likes
	if err := unix.Mkfifo(slow, 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.AdminAddr = freeAddress(t)
	opened := make(chan error, 1)
	go func() {
		n, err := Open(t.Context(), cfg)
		if err == nil {
			err = n.Close()
		}
		opened <- err
	}()
	awaitAnswer(t, "http://"+cfg.AdminAddr+"/metrics", http.StatusOK, "raftcached_disk_free_bytes")
	f, err := os.OpenFile(slow, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(slow); err != nil {
		t.Error(err)
	}
	if _, err := f.WriteString("no snapshot"); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-opened; err != nil {
		t.Error(err)
	}
}

// freeAddress is an address that nothing listens at.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}
