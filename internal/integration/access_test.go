package integration

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
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

// dialAs connects to a server as a user, whose password is the first letter of its name.
func dialAs(t *testing.T, s *cluster.Server, user string) *testclient.Client {
	t.Helper()
	c := testclient.Dial(t, s.ClientAddr)
	c.Send(fmt.Sprintf("set login 0 0 %d", len(user)+2), user+" "+user[:1])
	c.Expect("STORED")
	return c
}

// TestUsersWithLimits: each of three servers judges what its clients may do, whether it
// leads or passes writes on, and reads the limits again on SIGHUP.
func TestUsersWithLimits(t *testing.T) {
	t.Parallel()
	const file = "admin:a\nreader:r\nshop:s\n[access]\nreader: read-only\nshop: prefix=cart: prefix=session:\n"
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	must(t, os.WriteFile(users, []byte(file), 0o600))
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	c, err := cluster.New(cluster.Options{Executable: executable, Dir: dir, Servers: 3, Settings: map[string]any{"authFile": "users"}})
	must(t, err)
	defer func() { must(t, c.Close()) }()
	for _, s := range c.Servers {
		must(t, s.Start())
	}
	followers := 0
	for i, s := range c.Servers {
		awaitAnswer(ctx, t, s, "set login 0 0 7\r\nadmin a", "STORED")
		admin, reader, shop := dialAs(t, s, "admin"), dialAs(t, s, "reader"), dialAs(t, s, "shop")
		admin.Send("set other:k 0 0 1", strconv.Itoa(i))
		admin.Expect("STORED")
		if admin.Stats("raft")["raft_state"] == "follower" {
			followers++
		}
		shop.Send("set other:k 0 0 1", "x", "set cart:k 0 0 1 noreply", strconv.Itoa(i), "set other:k 0 0 9 noreply", "flush_all", "get cart:k", "get cart:k other:k", "flush_all")
		shop.Expect("CLIENT_ERROR key not allowed", "VALUE cart:k 0 1", strconv.Itoa(i), "END", "CLIENT_ERROR key not allowed", "CLIENT_ERROR command not allowed")
		reader.Send("set cart:k 0 0 1", "x", "md other:k", "touch other:k -1", "get cart:k other:k")
		reader.Expect("CLIENT_ERROR write not allowed", "CLIENT_ERROR write not allowed", "CLIENT_ERROR write not allowed",
			"VALUE cart:k 0 1", strconv.Itoa(i), "VALUE other:k 0 1", strconv.Itoa(i), "END")
	}
	if followers != 2 {
		t.Errorf("%d servers followed when they were asked, want 2", followers)
	}
	must(t, os.WriteFile(users, []byte(file+"admin: readonly\n"), 0o600))
	must(t, c.Servers[0].Process().Signal(syscall.SIGHUP))
	must(t, cluster.Await(ctx, func() error {
		if log := c.Servers[0].LogTail(); !strings.Contains(log, `line 7 has the unknown word \"readonly\" for user \"admin\"`) {
			return fmt.Errorf("the log ends with\n%s", log)
		}
		return nil
	}))
	if answer := dialAs(t, c.Servers[0], "reader").Ask("delete cart:k"); answer != "CLIENT_ERROR write not allowed" {
		t.Errorf("after an invalid file a reader is answered %q", answer)
	}
	must(t, os.WriteFile(users, []byte(strings.Replace(file, "cart:", "order:", 1)), 0o600))
	must(t, c.Servers[0].Process().Signal(syscall.SIGHUP))
	must(t, cluster.Await(ctx, func() error {
		if answer := dialAs(t, c.Servers[0], "shop").Ask("get order:k"); answer != "END" {
			return fmt.Errorf("the user with another prefix is answered %q", answer)
		}
		return nil
	}))
	if answer := dialAs(t, c.Servers[1], "shop").Ask("get order:k"); answer != "CLIENT_ERROR key not allowed" {
		t.Errorf("a server that got no signal answers %q", answer)
	}
}

// TestMemcachedRefusesLimits: memcached does not start with a file that limits users,
// rather than give them everything, and does with the same file without limits.
func TestMemcachedRefusesLimits(t *testing.T) {
	t.Parallel()
	cluster.NeedMemcached(t)
	dir := t.TempDir()
	users := filepath.Join(dir, "users")
	must(t, os.WriteFile(users, []byte("shop:s:read-only\n"), 0o644))
	m, err := cluster.StartMemcached(t.Context(), dir, "-Y", users)
	must(t, err)
	c := testclient.Dial(t, m.Addr)
	c.Send("set login 0 0 16", "shop s:read-only") // limits beside a password are the password
	c.Expect("STORED")
	must(t, m.Close())

	must(t, os.WriteFile(users, []byte("shop:s\n[access]\nshop: read-only\n"), 0o644))
	program, err := cluster.FindMemcached()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	out, err := exec.CommandContext(ctx, program, "-u", "root", "-l", "127.0.0.1", "-p", "0", "-Y", users).CombinedOutput()
	if err == nil || !strings.Contains(string(out), "has a malformed entry") {
		t.Errorf("%v: it says %q, want a malformed entry", err, out)
	}
}
