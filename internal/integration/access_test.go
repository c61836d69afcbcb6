package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"raftcached/internal/cluster"
)

// login is what a client sends first to authenticate as the user foo.
func login(password string) string {
	return fmt.Sprintf("set login 0 0 %d\r\nfoo %s", len("foo ")+len(password), password)
}

// awaitAnswer repeats a request until the answer is the wanted line.
func awaitAnswer(ctx context.Context, t *testing.T, s *cluster.Server, request, want string) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		lines, err := cluster.Ask(ctx, s.ClientAddr, request)
		if err == nil && strings.Join(lines, "|") != want {
			err = fmt.Errorf("%q is answered %q, want %q", request, lines, want)
		}
		return err
	}))
}

// TestPasswords: three servers require a password, and each one reads its users
// again on SIGHUP.
func TestPasswords(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	must(t, os.WriteFile(users, []byte("foo:bar\n"), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c, err := cluster.New(cluster.Options{
		Executable: executable, Dir: dir, Servers: 3, Settings: map[string]any{"authFile": "users"}, // beside server.json
	})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	for _, s := range c.Servers {
		must(t, s.Start())
	}
	for _, s := range c.Servers {
		awaitAnswer(ctx, t, s, login("bar"), "STORED")
		awaitAnswer(ctx, t, s, "get k", "CLIENT_ERROR unauthenticated")
		awaitAnswer(ctx, t, s, login("new"), "CLIENT_ERROR authentication failure")
	}
	must(t, os.WriteFile(users, []byte("foo:new\n"), 0o600))
	must(t, c.Servers[1].Process().Signal(syscall.SIGHUP))
	awaitAnswer(ctx, t, c.Servers[1], login("new"), "STORED")
	awaitAnswer(ctx, t, c.Servers[1], login("bar"), "CLIENT_ERROR authentication failure")
	awaitAnswer(ctx, t, c.Servers[2], login("bar"), "STORED") // it got no signal
}
