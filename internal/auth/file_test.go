package auth

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// write makes a file of users.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestUsersAndPasswords(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, "foo:bar\nbaaaz:qu:ux \r\nempty:\n:nobody\nlast:line")
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		user, password string
		want           bool
	}{
		{"foo", "bar", true},
		{"baaaz", "qu:ux ", true},
		{"empty", "", true},
		{"", "nobody", true},
		{"last", "line", true},
		{"foo", "ba", false},
		{"foo", "barr", false},
		{"fo", "obar", false},
		{"foo:bar", "", false},
		{"foo", "qu:ux ", false},
		{"", "", false},
	} {
		if got := f.Authenticate([]byte(test.user), []byte(test.password)); got != test.want {
			t.Errorf("user %q with password %q: %t, want %t", test.user, test.password, got, test.want)
		}
	}
}

// TestBadFiles checks the message that an operator sees, and that an invalid file
// leaves the previous users in place.
func TestBadFiles(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "users")
	if _, err := Open(filepath.Join(dir, "none")); err == nil || !strings.Contains(err.Error(), "for reading, error ") {
		t.Errorf("no file: %v", err)
	}
	write(t, name, "foo:bar\n")
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	many := ""
	for i := range usersMax + 1 {
		many += fmt.Sprintf("user%d:x\n", i)
	}
	for what, test := range map[string]struct{ text, want string }{
		"no colon":   {"foo:bar\nfoo\n", "has a malformed entry. Should be 'user:password'"},
		"empty line": {"\nfoo:bar\n", "has a malformed entry. Should be 'user:password'"},
		"zero byte":  {"foo:\x00bar\n", "has a malformed entry. Should be 'user:password'"},
		"long line":  {"foo:" + strings.Repeat("x", lineBytesMax-3) + "\n", "has an entry of 255 bytes"},
		"many users": {many, "has more than 8 users"},
		"long file":  {strings.Repeat("x:y\n", fileBytesMax), "is longer than 2048 bytes"},
	} {
		write(t, name, test.text)
		if err := f.Reload(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
		if !f.Authenticate([]byte("foo"), []byte("bar")) {
			t.Errorf("%s: the users that were there may not use the cache any more", what)
		}
	}
	write(t, name, "")
	if err := f.Reload(); err != nil {
		t.Errorf("nobody: %v", err)
	}
	if f.Authenticate([]byte("foo"), []byte("bar")) {
		t.Error("a user that is gone may use the cache")
	}
}

func TestFirst(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, "foo:b:r\r\nother:x\n")
	if user, password, err := First(name); err != nil || string(user) != "foo" || string(password) != "b:r" {
		t.Errorf("user %q with password %q, %v; want foo with b:r", user, password, err)
	}
	write(t, name, "")
	if _, _, err := First(name); err == nil {
		t.Error("a file of nobody names a user")
	}
}

func TestReload(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, "foo:bar\n")
	f, err := Open(name)
	if err != nil {
		t.Fatal(err)
	}
	write(t, name, "foo:other\n")
	if f.Authenticate([]byte("foo"), []byte("other")) {
		t.Error("the file counts before it is read again")
	}
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if !f.Authenticate([]byte("foo"), []byte("other")) || f.Authenticate([]byte("foo"), []byte("bar")) {
		t.Error("after reading the file again not the new password counts alone")
	}
}
