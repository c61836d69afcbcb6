package serve

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"raftcached"
)

// slowReader takes nothing until it is free.
type slowReader struct {
	bytes.Buffer
	free chan struct{}
}

func (r *slowReader) Write(b []byte) (int, error) {
	<-r.free
	return r.Buffer.Write(b)
}

// TestServerGoesOnWithoutReaderOfItsLog: it starts, and it stops.
func TestServerGoesOnWithoutReaderOfItsLog(t *testing.T) {
	stop := make(chan struct{})
	out := &slowReader{free: make(chan struct{})}
	ended := make(chan int, 1)
	go func() {
		ended <- Main(Process{Stderr: out, Stop: stop, Open: func(context.Context, raftcached.Config) (Node, error) {
			close(stop)
			return &fakeNode{done: make(chan struct{})}, nil
		}})
	}()
	select {
	case code := <-ended:
		if code != 0 {
			t.Errorf("exit code %d, want 0", code)
		}
		close(out.free)
	case <-time.After(20 * logPatience):
		t.Error("it waits for who reads its log")
		close(out.free)
		<-ended
	}
}

// TestLinesNobodyReads: those that do not fit any more are missing and counted, and the
// others are there, in their order.
func TestLinesNobodyReads(t *testing.T) {
	const lines = 2 * logBytesMax / 100
	out := &slowReader{free: make(chan struct{})}
	l := newServerLog(out)
	for i := range lines {
		_, _ = fmt.Fprintf(l, "%099d\n", i)
	}
	_, _ = l.Write(make([]byte, logBytesMax+1)) // no line is as long, and it is missing too
	close(out.free)
	l.close()
	<-l.done // on a busy machine
	rest := out.String()
	written := 0
	for line := fmt.Sprintf("%099d\n", written); strings.HasPrefix(rest, line); line = fmt.Sprintf("%099d\n", written) {
		rest = rest[len(line):]
		written++
	}
	want := fmt.Sprintf("level=WARN msg=\"lines of this log are missing here: they were not read in time\" lines=%d\n", lines+1-written)
	if written < logBytesMax/100 || !strings.HasSuffix(rest, want) || strings.Count(rest, "\n") != 1 {
		t.Errorf("%d lines, and then %.300q, want %q", written, rest, want)
	}
}
