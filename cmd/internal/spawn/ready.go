package spawn

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"raftcached"
	"raftcached/internal/auth"
)

const (
	readyPoll    = 50 * time.Millisecond // between two requests to a server
	readyTimeout = 3 * time.Second       // of one request: above a server's request timeout
)

// awaitReady returns when each server has reported a leader and has answered a get,
// or with the context's error. It connects to the servers' addresses, so that a
// server that was restarted by hand counts too. If the servers require a password,
// it authenticates as the first user of the file. If they serve clients with TLS, it
// believes one that lets it connect: a server listens when it has a leader and its state.
func awaitReady(ctx context.Context, servers []raftcached.Server, authFile string, secure bool) error {
	for _, s := range servers {
		for {
			if err := askReady(ctx, s.ClientAddr(), authFile, secure); err == nil {
				break
			}
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(readyPoll):
			}
		}
	}
	return nil
}

// askReady asks one server once. It returns nil if the server serves.
func askReady(ctx context.Context, addr, authFile string, secure bool) error {
	login, err := loginOf(authFile)
	if err != nil {
		return err
	}
	dialer := net.Dialer{Timeout: readyTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }() // all answers were read or do not matter
	if secure {
		return nil
	}
	if err := conn.SetDeadline(time.Now().Add(readyTimeout)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(login + "stats raft\r\nget server-spawner\r\n")); err != nil {
		return err
	}
	lines := bufio.NewScanner(conn)
	if login != "" && (!lines.Scan() || lines.Text() != "STORED") {
		return fmt.Errorf("login at %s: %q", addr, lines.Text())
	}
	leader := ""
	for lines.Scan() && lines.Text() != "END" {
		if id, ok := strings.CutPrefix(lines.Text(), "STAT raft_leader_id "); ok {
			leader = id
		}
		if !strings.HasPrefix(lines.Text(), "STAT ") {
			return fmt.Errorf("stats raft of %s: %q", addr, lines.Text())
		}
	}
	if leader == "" || leader == "-1" {
		return fmt.Errorf("server at %s knows no leader", addr)
	}
	if !lines.Scan() || lines.Text() != "END" {
		return fmt.Errorf("get at %s: %q", addr, lines.Text())
	}
	return lines.Err()
}

// loginOf returns the request that authenticates the first user of a file, or ""
// without a file.
func loginOf(authFile string) (string, error) {
	if authFile == "" {
		return "", nil
	}
	user, password, err := auth.First(authFile)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("set server-spawner 0 0 %d\r\n%s %s\r\n", len(user)+1+len(password), user, password), nil
}
