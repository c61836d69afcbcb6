package ctl

import (
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"raftcached/internal/admin"

	"golang.org/x/sys/unix"
)

// terminal opens a pair of which the operator has one end and the program the other.
func terminal(t *testing.T) (operator, program *os.File) {
	t.Helper()
	operator, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Fatalf("there are no terminals: %v", err)
	}
	t.Cleanup(func() { _ = operator.Close() })
	number, err := unix.IoctlGetInt(int(operator.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(operator.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = program.Close() })
	return operator, program
}

// TestTypedConfirmation: what cannot be undone is done if its word is typed at a terminal,
// or --yes is said. Without a terminal it is refused with a sentence.
func TestTypedConfirmation(t *testing.T) {
	for _, c := range []struct {
		line, answer string
		code         int
		says         string // to the operator
	}{
		{"remove 2", "2\n", exitOK, "is alive (reachable): when it is removed, its data folder is given up for good. Type 2 to go on: "},
		{"replace 2 --no-wait", "2\n", exitOK, "when it is replaced, its data folder is given up for good. Type 2 to go on: "},
		{"remove 2", "yes\n", exitFailed, "raftcachectl: not confirmed: nothing was changed"},
		{"remove 2", "22\n", exitFailed, "raftcachectl: not confirmed: nothing was changed"},
		{"remove 2", "\n", exitFailed, "raftcachectl: not confirmed: nothing was changed"},
		{"replace 2", "\x04", exitFailed, "raftcachectl: not confirmed: nothing was changed"}, // the end of the input
		{"remove 2", "", exitFailed, "its data folder is given up for good: there is no terminal to ask at, so nothing was changed: say --yes if that is meant"},
		{"remove 2 -y", "", exitOK, ""},
		{"replace 2 --no-wait --yes", "", exitOK, ""},
	} {
		asked := false
		f := &fakeServer{status: *statusOf(0, 3), list: three()}
		f.operated = func(string, *admin.MemberRequest) error { asked = true; return nil }
		addr := operated(t, f)
		p := Process{
			Args: append([]string{"member", "-s", addr}, strings.Fields(c.line)...), Getenv: func(string) string { return "" },
			Stdin: strings.NewReader("2\nyes\n"), Stdout: io.Discard,
		}
		var said strings.Builder
		p.Stderr = &said
		if c.answer != "" {
			operator, program := terminal(t)
			p.Stdin, p.Stderr = program, program
			if _, err := operator.WriteString(c.answer); err != nil {
				t.Fatal(err)
			}
			code := Main(t.Context(), p)
			if err := program.Close(); err != nil {
				t.Fatal(err)
			}
			text, _ := io.ReadAll(operator) // it ends with an error, as the other end is closed
			said.Write(text)
			if code != c.code {
				t.Errorf("%s: exit code %d, want %d", c.line, code, c.code)
			}
		} else if code := Main(t.Context(), p); code != c.code {
			t.Errorf("%s: exit code %d, want %d", c.line, code, c.code)
		}
		if asked != (c.code == exitOK) || !strings.Contains(said.String(), c.says) {
			t.Errorf("%s: asked the server: %v; it says %q, want %q", c.line, asked, said.String(), c.says)
		}
	}
}
