package spawn

import (
	"bufio"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"
)

// TestReadyTellsAPassword checks that askReady authenticates as the first user of
// the file.
func TestReadyTellsAPassword(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("foo:bar\nother:x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // the test is over
	asked := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			close(asked)
			return
		}
		defer func() { _ = conn.Close() }() // the conversation is over
		in := bufio.NewReader(conn)
		line, _ := in.ReadString('\n')
		block, _ := in.ReadString('\n')
		asked <- line + block
		_, _ = io.WriteString(conn, "STORED\r\nSTAT raft_leader_id 0\r\nEND\r\nEND\r\n")
		_, _ = io.Copy(io.Discard, in) // until the other side is done
	}()
	if err := askReady(t.Context(), l.Addr().String(), users, false); err != nil {
		t.Error(err)
	}
	if got, want := <-asked, "set server-spawner 0 0 7\r\nfoo bar\r\n"; got != want {
		t.Errorf("asked with %q, want %q", got, want)
	}
}
