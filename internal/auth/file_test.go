package auth

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// authenticate is Authenticate of a user who may do everything.
func authenticate(t *testing.T, f *File, user, password string) bool {
	t.Helper()
	readOnly, prefixes, ok := f.Authenticate([]byte(user), []byte(password))
	if readOnly || prefixes != nil {
		t.Errorf("user %q is limited: read-only %t, prefixes %q", user, readOnly, prefixes)
	}
	return ok
}

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
		if got := authenticate(t, f, test.user, test.password); got != test.want {
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
		"no colon":   {"foo:bar\nfoo\n", "line 2 has a malformed entry. Should be 'user:password'"},
		"empty line": {"\nfoo:bar\n", "has a malformed entry. Should be 'user:password'"},
		"zero byte":  {"foo:\x00bar\n", "has a malformed entry. Should be 'user:password'"},
		"long line":  {"foo:" + strings.Repeat("x", lineBytesMax-3) + "\n", "line 1 has an entry of 255 bytes"},
		"many users": {many, "line 9 is one of more than 8 users"},
		"long file":  {strings.Repeat("x:y\n", fileBytesMax), "is longer than 65536 bytes"},
	} {
		write(t, name, test.text)
		if err := f.Reload(); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", what, err, test.want)
		}
		if !authenticate(t, f, "foo", "bar") {
			t.Errorf("%s: the users that were there may not use the cache any more", what)
		}
	}
	write(t, name, "")
	if err := f.Reload(); err != nil {
		t.Errorf("nobody: %v", err)
	}
	if authenticate(t, f, "foo", "bar") {
		t.Error("a user that is gone may use the cache")
	}
}

func TestFirst(t *testing.T) {
	name := filepath.Join(t.TempDir(), "users")
	write(t, name, "foo:b:r\r\nother:x\n")
	if user, password, err := First(name); err != nil || string(user) != "foo" || string(password) != "b:r" {
		t.Errorf("user %q with password %q, %v; want foo with b:r", user, password, err)
	}
	write(t, name, "limited:x\nfoo:bar\n[access]\nlimited: read-only\n")
	if user, _, err := First(name); err != nil || string(user) != "foo" {
		t.Errorf("user %q, %v; want the first without limits, foo", user, err)
	}
	for what, text := range map[string]string{
		"nobody": "", "who is limited": "limited:x\n[access]\nlimited: prefix=a\n", "who is malformed": "foo:bar\nrubbish\n",
	} {
		write(t, name, text)
		if user, _, err := First(name); err == nil {
			t.Errorf("a file of users %s names %q", what, user)
		}
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
	if authenticate(t, f, "foo", "other") {
		t.Error("the file counts before it is read again")
	}
	if err := f.Reload(); err != nil {
		t.Fatal(err)
	}
	if !authenticate(t, f, "foo", "other") || authenticate(t, f, "foo", "bar") {
		t.Error("after reading the file again not the new password counts alone")
	}
}
