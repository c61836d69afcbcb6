package protocol

import (
	"strings"
	"testing"
)

// TestLogin: what memcached 1.6.45 answered to these bytes when it ran with -Y.
// Where it answered STORED, user and password reached its table.
func TestLogin(t *testing.T) {
	for _, test := range []struct{ name, sent, want string }{
		{"user and password", "set foo 0 0 7\r\nfoo bar\r\n", "foo bar"},
		{"more words, other words", "setx " + strings.Repeat("k", 300) + " b c 7 noreply\r\nfoo bar\r\n", "foo bar"},
		{"more blanks", "set  foo  0  0  7\r\nfoo bar\r\n", "foo bar"},
		{"password with blanks", "set foo 0 0 8\r\nfoo b r \r\n", "foo b r "},
		{"neither", "set foo 0 0 1\r\n \r\n", " "},
		{"other command", "get foo\r\n", replyUnauthenticated},
		{"blank in front", " set foo 0 0 7\r\n", replyUnauthenticated},
		{"too few words", "set foo 0 7\r\n", replyUnauthenticated},
		{"no length", "set foo 0 0 x\r\n", replyUnauthenticated},
		{"negative length", "set foo 0 0 -1\r\n", replyUnauthenticated},
		{"length of 33 bits", "set foo 0 0 4294967296\r\n", replyUnauthenticated},
		{"long line", strings.Repeat("x", 3000) + "\r\n", replyUnauthenticated},
		{"too long", "set foo 0 0 16385\r\n", replyLoginTooLong},
		{"no blank", "set foo 0 0 7\r\nfoobarr\r\n", replyLoginFormat},
		{"nothing", "set foo 0 0 0\r\n\r\n", replyLoginFormat},
		{"wrong end", "set foo 0 0 7\r\nfoo bar\n\n", replyLoginEnd},
		{"short line", "quit\r\n", "closed"},
		{"line without end", strings.Repeat("x", 2049), "closed"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p, req := NewParser(1<<20, nil), &Request{}
			for n := range min(len(test.sent), lineBytesMax) { // every part of it first: nothing may be decided too early
				if _, v := p.ParseLogin([]byte(test.sent[:n]), req); v != NeedMore && !strings.HasSuffix(test.sent[:n], "\n") {
					t.Fatalf("%q is verdict %d", test.sent[:n], v)
				}
			}
			n, v := p.ParseLogin([]byte(test.sent), req)
			got := req.Reply
			switch {
			case v == Close:
				n, got = len(test.sent), "closed"
			case req.Command == SASLAuth:
				got = string(req.Key) + " " + string(req.Value)
			}
			if got != test.want || n != len(test.sent) {
				t.Errorf("%d of %d bytes are %q, want %q", n, len(test.sent), got, test.want)
			}
		})
	}
}
