package integration

import (
	"bufio"
	"context"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// TestFirstSetIsStored: clients that connect as soon as the ports of three new servers
// open store their first item.
func TestFirstSetIsStored(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c, err := cluster.New(cluster.Options{Executable: executable, Dir: t.TempDir(), Servers: 3})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	for _, s := range c.Servers {
		must(t, s.Start())
	}
	var clients sync.WaitGroup
	for _, s := range c.Servers {
		clients.Go(func() {
			if answer, err := firstSet(ctx, s.ClientAddr); answer != "STORED" {
				t.Errorf("the first set at server %d is answered %q, %v; it logged:\n%s", s.ID, answer, err, s.LogTail())
			}
		})
	}
	clients.Wait()
}

// firstSet connects as soon as somebody listens, and returns the answer to a set.
func firstSet(ctx context.Context, addr string) (answer string, err error) {
	var conn net.Conn
	err = cluster.Await(ctx, func() (err error) {
		conn, err = net.Dial("tcp", addr)
		return err
	})
	if err != nil {
		return "", err
	}
	defer func() { _ = conn.Close() }()
	if err := conn.SetDeadline(time.Now().Add(testLimit)); err != nil {
		return "", err
	}
	if _, err := conn.Write([]byte("set first 0 0 1\r\nx\r\n")); err != nil {
		return "", err
	}
	answer, err = bufio.NewReader(conn).ReadString('\n')
	return strings.TrimSpace(answer), err
}
