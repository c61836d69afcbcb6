package cluster

import (
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// TestNetworkHoldsBackWhileCut: data sent over a cut pair arrives when the cut is
// mended, and connections that were made meanwhile work then.
func TestNetworkHoldsBackWhileCut(t *testing.T) {
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
	n := newNetwork(func(conn net.Conn) int { return ownerOf(conn, []int{1, os.Getpid()}) }, func(int) bool { return true })
	addr, err := n.listen("127.0.0.1:0", 7, echo.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	dial := func() net.Conn {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		return conn
	}
	receive := func(conn net.Conn, timeout time.Duration) error {
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
	if err := receive(before, 10*time.Second); err != nil {
		t.Fatalf("whole network: %v", err)
	}
	n.setCut([]pair{{1, 7}}, true) // this process is number 1 of those given to ownerOf
	during := dial()
	send(before)
	send(during)
	for _, conn := range []net.Conn{before, during} {
		if err := receive(conn, 20*time.Millisecond); !os.IsTimeout(err) {
			t.Errorf("cut network: %v, want a timeout", err)
		}
	}
	n.setCut([]pair{{1, 7}}, false)
	for _, conn := range []net.Conn{before, during} {
		if err := receive(conn, 10*time.Second); err != nil {
			t.Errorf("mended network: %v", err)
		}
	}
	if err := n.close(); err != nil {
		t.Error(err)
	}
	for _, conn := range []net.Conn{before, during} {
		if err := receive(conn, 10*time.Second); err == nil || os.IsTimeout(err) {
			t.Errorf("closed network: %v, want the end of the connection", err)
		}
		_ = conn.Close()
	}
}
