package seldom

import (
	"bytes"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// failing is a listener that fails some times before it accepts.
type failing struct {
	net.Listener
	failures []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.failures) == 0 {
		return f.Listener.Accept()
	}
	err := f.failures[0]
	f.failures = f.failures[1:]
	return nil, &net.OpError{Op: "accept", Net: "tcp", Addr: f.Addr(), Err: os.NewSyscallError("accept4", err)}
}

// TestAcceptGoesOn when the system hands no connection over, with a line when that begins and
// one when it is over; and ends with the listener, or when it is told to.
func TestAcceptGoesOn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	client, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = client.Close() }()
	var log bytes.Buffer
	full, stop := error(syscall.EMFILE), make(chan struct{})
	listener := &failing{ln, []error{full, full, full}}
	a := Acceptor{Listener: listener, Stop: stop, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	conn := a.Accept()
	if conn == nil {
		t.Fatal("no connection is accepted")
	}
	_ = conn.Close()
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	if len(lines) != 2 || !strings.Contains(lines[0], `level=ERROR msg="cannot accept connections"`) || !strings.Contains(lines[0], "too many open files") ||
		!strings.Contains(lines[1], `level=INFO msg="connections are accepted again"`) || !strings.Contains(lines[1], "failures=3") {
		t.Errorf("it logs %q", lines)
	}

	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	if conn := a.Accept(); conn != nil {
		t.Error("a closed listener accepts")
	}
	close(stop)
	if listener.failures = []error{full, full}; a.Accept() != nil || len(listener.failures) != 1 {
		t.Errorf("told to end, %d failures are not waited for, want 1", len(listener.failures))
	}
}

// TestOutagesAreToldSeldom: short ones that follow each other, and a long one, once a minute.
func TestOutagesAreToldSeldom(t *testing.T) {
	var o outage
	start := time.Now()
	fail := func(after time.Duration, times int) {
		t.Helper()
		if got, tell := o.failed("full", start.Add(after)); got != times || tell != (times > 0) {
			t.Errorf("after %v: %d times, told %v; want %d", after, got, tell, times)
		}
	}
	end := func(failures int, lasted time.Duration, tell bool) {
		t.Helper()
		if f, l, told := o.over(); f != failures || l != lasted || told != tell {
			t.Errorf("over after %d failures in %v, told %v; want %d, %v, %v", f, l, told, failures, lasted, tell)
		}
	}
	end(0, 0, false)
	fail(0, 1)
	fail(time.Second, 0)
	end(2, time.Second, true)
	fail(2*time.Second, 0) // it comes again: nobody is told
	end(1, 0, false)
	fail(30*time.Second, 0)
	fail(61*time.Second, 4) // and lasts
	fail(100*time.Second, 0)
	fail(122*time.Second, 2)
	end(4, 92*time.Second, true)
}

// TestLoggerTellsOnce what each of many connections meets.
func TestLoggerTellsOnce(t *testing.T) {
	var log bytes.Buffer
	l := Logger{To: slog.New(slog.NewTextHandler(&log, nil))}
	for range 100 {
		l.Error("watch", "error", errors.New("none"))
		l.Error("keep")
	}
	if got := log.String(); strings.Count(got, "\n") != 2 || !strings.Contains(got, "level=ERROR msg=watch error=none\n") || !strings.Contains(got, "msg=keep\n") {
		t.Errorf("it logs %q", got)
	}
}

// TestServersGoOn that would end for what the system says, as net/http's does when there is no memory.
func TestServersGoOn(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := NewListener(&failing{ln, []error{syscall.ENOMEM, syscall.ENOBUFS}}, slog.New(slog.DiscardHandler))
	server := http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	answer, err := http.Get("http://" + ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if err := answer.Body.Close(); err != nil || answer.StatusCode != http.StatusNotFound {
		t.Errorf("it answers %s, %v", answer.Status, err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
		t.Error(err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("a closed listener says %v", err)
	}
}
