package auth

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
)

// TestWhatUsersMayDo: users without a line after [access] may do everything, all with
// the same name what its line says.
func TestWhatUsersMayDo(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, "admin:a\nreport:r\nweb:old\nweb:new\nshop:s: read-only\na b:x\n[access]\r\n"+
		"report: read-only\nweb:prefix=session: prefix=cart:\n\n a b:x\n")
	if _, err := Open(name); err == nil {
		t.Error("a user with a blank in front is another one, and not listed")
	}
	write(t, name, "admin:a\nreport:r\nweb:old\nweb:new\nshop:s: read-only\na b:x\n[access]\r\n"+
		"report: read-only\nweb:prefix=session: prefix=cart:\n\na b:\tread-only  prefix=\xa0\xff=:\r\n\r\n")
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ user, password, want string }{
		{"admin", "a", `false [] true`},
		{"report", "r", `true [] true`},
		{"web", "old", `false ["session:" "cart:"] true`},
		{"web", "new", `false ["session:" "cart:"] true`},
		{"shop", "s: read-only", `false [] true`}, // as memcached reads it
		{"a b", "x", `true ["\xa0\xff=:"] true`},
		{"report", "a", `false [] false`},
		{"[access]", "", `false [] false`},
	} {
		readOnly, prefixes, ok := f.Authenticate([]byte(test.user), []byte(test.password))
		if got := fmt.Sprintf("%t %q %t", readOnly, prefixes, ok); got != test.want {
			t.Errorf("user %q with password %q: %s, want %s", test.user, test.password, got, test.want)
		}
	}
}

// TestBadAccess: the message names the line, and the previous users stay with what they
// might do.
func TestBadAccess(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, "foo:bar\n[access]\nfoo: prefix=a\n")
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	for lines, want := range map[string]string{
		"foo":                      "line 3 has a malformed entry. After [access] it should be 'user: read-only prefix=PREFIX'",
		"[access]":                 "line 3 has a malformed entry. After",
		"foo: read-only\x00":       "line 3 has a malformed entry. After",
		"\n\nfoo:":                 "line 5 does not say what user \"foo\" may do",
		"foo: readonly":            "line 3 has the unknown word \"readonly\" for user \"foo\": write read-only or prefix=PREFIX",
		"foo: prefix=a,b read":     "line 3 has the unknown word \"read\"",
		"foo: read-only read-only": "line 3 says read-only twice",
		"foo: prefix=":             "line 3 has an empty prefix for user \"foo\"",
		"foo: prefix=" + strings.Repeat("x", prefixBytesMax+1):         "line 3 has a prefix of 251 bytes",
		"foo:" + strings.Repeat(" prefix=x", prefixesMax+1):            "line 3 has more than 16 prefixes",
		"foo: read-only\nfoo: prefix=x":                                "line 4 says again what user \"foo\" may do",
		"foo: read-only\nother: read-only":                             "line 4 limits user \"other\", for whom there is no 'user:password' above [access]",
		"foo: read-only\nother:password":                               "line 4 has the unknown word \"password\"",
		"foo: read-only\n" + strings.Repeat("\n", fileBytesMax) + "x:": "is longer than 65536 bytes",
	} {
		write(t, name, "foo:bar\n[access]\n"+lines+"\n")
		if err := f.Reload(); err == nil || !strings.Contains(err.Error(), "authfile ["+name+"] "+want) {
			t.Errorf("%.60q: %v, want %q", lines, err, want)
		}
		if readOnly, prefixes, ok := f.Authenticate([]byte("foo"), []byte("bar")); readOnly || fmt.Sprintf("%q", prefixes) != `["a"]` || !ok {
			t.Fatalf("%.60q: then the user may do something else: read-only %t, prefixes %q, %t", lines, readOnly, prefixes, ok)
		}
	}
	write(t, name, "[access]\nfoo: read-only\n")
	if err := f.Reload(); err == nil {
		t.Error("a user that comes after what it may do is taken")
	}
}

// TestLongestFileIsTaken: a file may have the most users, prefixes and bytes at once.
func TestLongestFileIsTaken(t *testing.T) {
	var users, access strings.Builder
	prefix := strings.Repeat("p", prefixBytesMax)
	for i := range usersMax {
		user := fmt.Sprintf("%d%s", i, strings.Repeat("u", lineBytesMax-2))
		fmt.Fprintf(&users, "%s:\r\n", user)
		fmt.Fprintf(&access, "%s: read-only%s\r\n", user, strings.Repeat(" prefix="+prefix, prefixesMax))
	}
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, users.String()+accessHeader+"\r\n"+access.String())
	if _, err := Open(name); err != nil {
		t.Error(err)
	}
}

// FuzzParse: no file makes the parser panic, and what it takes keeps the bounds. Without
// [access] nobody has a limit.
func FuzzParse(f *testing.F) {
	f.Add("foo:bar\nweb:x\n[access]\nweb: read-only prefix=a:\n")
	f.Add("foo:bar\r\n[access]\r\n\r\nfoo: prefix=a\tprefix=b")
	f.Add(":\n[access]\n: read-only")
	f.Fuzz(func(t *testing.T, text string) {
		entries, err := parse([]byte(text))
		if err != nil {
			return
		}
		if len(entries) > usersMax {
			t.Errorf("%d users", len(entries))
		}
		for _, e := range entries {
			if e.access.limited() && !strings.Contains(text, accessHeader) {
				t.Errorf("user %q is limited", e.user)
			}
			for _, prefix := range e.access.prefixes {
				if len(prefix) == 0 || len(prefix) > prefixBytesMax {
					t.Errorf("user %q has the prefix %q", e.user, prefix)
				}
			}
		}
	})
}
