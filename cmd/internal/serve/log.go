package serve

import (
	"io"
	"log/slog"
	"sync"
	"time"
)

const (
	// logBytesMax is how much of the server log waits for who reads it.
	logBytesMax = 1 << 20

	// logPatience is how long the end of a server waits for that.
	logPatience = 2 * time.Second
)

// serverLog has what is written to it written by a goroutine: event loops log, and so does
// the raft loop, and none of them may wait for a terminal that was stopped, or a pipe whose
// reader is slow. What does not fit meanwhile is dropped, and the log says so.
type serverLog struct {
	to   io.Writer
	wake chan struct{} // capacity 1
	end  chan struct{} // closed by close
	done chan struct{} // closed when everything is written after that

	mu      sync.Mutex
	waiting []byte
	dropped int // lines, since the last of waiting
}

func newServerLog(to io.Writer) *serverLog {
	l := &serverLog{to: to, wake: make(chan struct{}, 1), end: make(chan struct{}), done: make(chan struct{})}
	go l.run()
	return l
}

// Write implements io.Writer. It never waits for the reader, and never fails.
func (l *serverLog) Write(line []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.dropped > 0 || len(l.waiting)+len(line) > logBytesMax {
		l.dropped++ // what comes after it, too, until there is room for all
	} else {
		l.waiting = append(l.waiting, line...)
	}
	select {
	case l.wake <- struct{}{}:
	default:
	}
	return len(line), nil
}

// run writes what waits until the end.
func (l *serverLog) run() {
	defer close(l.done)
	for ended := false; !ended; {
		select {
		case <-l.wake:
		case <-l.end:
			ended = true
		}
		lines, dropped := l.take()
		if len(lines) > 0 {
			_, _ = l.to.Write(lines) // there is no other place to report it
		}
		if dropped > 0 {
			logTo(l.to, slog.LevelInfo).Warn("lines of this log are missing here: they were not read in time", "lines", dropped)
		}
	}
}

// take returns what waits, and how many lines were dropped after it.
func (l *serverLog) take() (lines []byte, dropped int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	lines, dropped = l.waiting, l.dropped
	l.waiting, l.dropped = nil, 0
	return lines, dropped
}

// close waits until everything is written, or for logPatience.
func (l *serverLog) close() {
	close(l.end)
	select {
	case <-l.done:
	case <-time.After(logPatience):
	}
}

// logTo returns a logger that writes a line of text for each event.
func logTo(w io.Writer, level slog.Leveler) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}
