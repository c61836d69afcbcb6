package server

import (
	"strings"
	"testing"
)

// users is an Authenticator: passwords by user. Who is named "reader" changes nothing,
// and "tenant" uses keys that begin with t: or u alone.
type users map[string]string

// Authenticate implements Authenticator.
func (u users) Authenticate(user, password []byte) (readOnly bool, prefixes [][]byte, ok bool) {
	known, ok := u[string(user)]
	if string(user) == "tenant" {
		prefixes = [][]byte{[]byte("t:"), []byte("u")}
	}
	return string(user) == "reader", prefixes, ok && known == string(password)
}

// startLocked starts a server that requires authentication.
func startLocked(t *testing.T) *Server {
	t.Helper()
	return start(t, newMemory(), func(o *Options) {
		o.Authenticator, o.AuthFile = users{"foo": "bar", "baaaz": "qu ux", "reader": "r", "tenant": "t"}, "/etc/users"
	})
}

// TestLoginInText is memcached's t/ascii-auth.t, with complete answers.
func TestLoginInText(t *testing.T) {
	s := startLocked(t)
	c := dial(t, s)
	c.Send("set foo 0 0 2", "hi", "get foo")
	c.Expect("CLIENT_ERROR bad authentication token format", "CLIENT_ERROR unauthenticated")
	c.Send("set foo 0 0 7", "foo bab", "set foo 0 0 2147483646", "set foo 0 0 7", "foo bar")
	c.Expect("CLIENT_ERROR authentication failure", "CLIENT_ERROR auth token too long", "STORED")
	c.Send("set toast 0 0 2", "hi", "get toast")
	c.Expect("STORED", "VALUE toast 0 2", "hi", "END")
	wantStats(t, c, "", map[string]string{"auth_cmds": "2", "auth_errors": "1"})
	wantStats(t, c, "settings", map[string]string{"auth_enabled_ascii": "/etc/users", "auth_enabled_sasl": "yes"})

	second := dial(t, s)
	second.SendBytes("set x 0 0 11\r\nbaaaz qu ux\r\nmg toast v\r\nget toast\r\n") // at once
	second.Expect("STORED", "VA 2", "hi", "VALUE toast 0 2", "hi", "END")
}

// TestLoginByteByByte: a login may arrive in any pieces.
func TestLoginByteByByte(t *testing.T) {
	c := dial(t, startLocked(t))
	for _, b := range []byte("get a\r\nset foo 0 0 7\r\nfoo bar\r\nget a\r\n") {
		c.SendBytes(string([]byte{b}))
	}
	c.Expect("CLIENT_ERROR unauthenticated", "STORED", "END")
}

// TestNothingPassesBeforeLogin: before a login no request of any protocol reaches
// the cache.
func TestNothingPassesBeforeLogin(t *testing.T) {
	b := newMemory()
	s := start(t, b, func(o *Options) { o.Authenticator = users{} })
	store := make([]byte, 8)
	for _, sent := range []string{
		"set a 0 0 1\r\nx\r\nset a 0 0 1 noreply\r\nx\r\nadd a 0 0 1\r\nx\r\n",
		"get a\r\nms a 1\r\nx\r\nflush_all\r\nmd a q\r\nstats\r\nconfig get cluster\r\nversion\r\n",
		"get a\r\n" + packet(0x01, "a", "x", store...) + "\r\n" + packet(0x00, "a", ""),
		"quit\r\n", "mn\r\n", "\r\n",
		packet(0x01, "a", "x", store...), packet(0x11, "a", "x", store...), packet(0x00, "a", ""), packet(0x08, "", ""), packet(0x10, "", ""),
		packet(0x0a, "", "") + packet(0x01, "a", "x", store...), packet(0x07, "", ""), packet(0x99, "", ""),
		packet(0x20, "", "") + "set a 0 0 1\r\nx\r\nset a 0 0 1\r\nx\r\n",
		packet(0x21, "PLAIN", "\x00foo\x00bar") + packet(0x01, "a", "x", store...),
		packet(0x01, "a", strings.Repeat("x", 1<<20), store...)[:30], // refused before its value has arrived
	} {
		c := dial(t, s)
		c.SendBytes(sent)
		if err := c.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		if got := c.ReadAll(); strings.Contains(got, "STORED") || strings.Contains(got, "HD") || strings.Contains(got, "STAT") {
			t.Errorf("%q is answered %q", sent, got)
		}
	}
	if events := b.events(); len(events) > 0 {
		t.Errorf("the backend was asked for %q", events)
	}
}

func TestLoginInBinary(t *testing.T) {
	s := startLocked(t)
	refused := func(opcode byte) string { return answer(opcode, 0x20, 0, "Auth failure.") }
	for _, test := range []struct{ name, sent, want string }{
		{"user and password", packet(0x21, "PLAIN", "\x00foo\x00bar"), answer(0x21, 0, 0, "Authenticated")},
		{"identity to act as", packet(0x21, "PLAIN", "admin\x00baaaz\x00qu ux"), answer(0x21, 0, 0, "Authenticated")},
		{"step", packet(0x22, "PLAIN", "\x00foo\x00bar"), answer(0x22, 0, 0, "Authenticated")},
		{"wrong password", packet(0x21, "PLAIN", "\x00foo\x00baz"), refused(0x21)},
		{"wrong mechanism", packet(0x21, "CRAM-MD5", "\x00foo\x00bar"), refused(0x21)},
		{"no password", packet(0x21, "PLAIN", "foo bar"), refused(0x21)},
		{"nothing", packet(0x21, "PLAIN", ""), refused(0x21)},
		{"mechanisms", packet(0x20, "", ""), answer(0x20, 0, 0, "PLAIN")},
		{"version", packet(0x0b, "", ""), answer(0x0b, 0, 0, "1.6.45")},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := dial(t, s)
			c.SendBytes(test.sent)
			c.ExpectBytes(test.want)
			c.SendBytes(packet(0x0a, "", "") + packet(0x07, "", ""))
			if strings.Contains(test.want, "Authenticated") {
				c.ExpectBytes(answer(0x0a, 0, 0, "") + answer(0x07, 0, 0, ""))
			} else {
				c.ExpectBytes(refused(0x0a)) // and hangs up
			}
			c.ExpectClosed()
		})
	}
}

// TestWrongPasswordLocksAgain: in Binary a client may authenticate again at any
// time, and loses its access if that fails.
func TestWrongPasswordLocksAgain(t *testing.T) {
	c := dial(t, startLocked(t))
	right, wrong := packet(0x21, "PLAIN", "\x00foo\x00bar"), packet(0x21, "PLAIN", "\x00foo\x00baz")
	authenticated, refused := answer(0x21, 0, 0, "Authenticated"), answer(0x21, 0x20, 0, "Auth failure.")
	c.SendBytes(right + wrong + right + packet(0x0a, "", "") + wrong + packet(0x0a, "", ""))
	c.ExpectBytes(authenticated + refused + authenticated + answer(0x0a, 0, 0, "") + refused + answer(0x0a, 0x20, 0, "Auth failure."))
	c.ExpectClosed()
}

// TestNoSASLWithoutUsers: the answer is that of a memcached built without SASL.
func TestNoSASLWithoutUsers(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.SendBytes(packet(0x20, "", "") + packet(0x21, "PLAIN", "\x00foo\x00bar") + packet(0x0a, "", ""))
	c.ExpectBytes(answer(0x20, 0x81, 0, "Unknown command") + answer(0x21, 0x81, 0, "Unknown command") + answer(0x0a, 0, 0, ""))
}
