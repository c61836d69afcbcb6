package cluster

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestLinkHoldsBackWhileCut: what is sent over a cut link arrives when it is
// mended, and connections made meanwhile work then.
func TestLinkHoldsBackWhileCut(t *testing.T) {
	defer goleak.VerifyNone(t)
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = echo.Close() }()
	go func() {
		for {
			conn, err := echo.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(conn, conn)
				_ = conn.Close()
			}()
		}
	}()
	link, err := NewLink("127.0.0.1:0", echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", link.listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	exchange := func(conn net.Conn, timeout time.Duration) error {
		if err := conn.SetDeadline(time.Now().Add(timeout)); err != nil {
			return err
		}
		_, err := io.ReadFull(conn, make([]byte, 1))
		return err
	}
	send := func(conn net.Conn) {
		if _, err := conn.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
	}

	before := dial()
	send(before)
	if err := exchange(before, 10*time.Second); err != nil {
		t.Fatalf("whole link: %v", err)
	}
	link.Cut()
	during := dial()
	send(before)
	send(during)
	for _, conn := range []net.Conn{before, during} {
		if err := exchange(conn, 20*time.Millisecond); !os.IsTimeout(err) {
			t.Errorf("cut link: %v, want a timeout", err)
		}
	}
	link.Mend()
	for _, conn := range []net.Conn{before, during} {
		if err := exchange(conn, 10*time.Second); err != nil {
			t.Errorf("mended link: %v", err)
		}
	}
	if err := link.Close(); err != nil {
		t.Error(err)
	}
	for _, conn := range []net.Conn{before, during} {
		if err := exchange(conn, 10*time.Second); err == nil || os.IsTimeout(err) {
			t.Errorf("closed link: %v, want the end of the connection", err)
		}
		_ = conn.Close()
	}
}
