package integration

import (
	"bufio"
	"context"
	"io"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// talk is a program that a test talks to, as a user does.
type talk struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.WriteCloser
	lines chan string // what it prints; closed at the end
}

// startProgram starts a program that ends with the test.
func startProgram(ctx context.Context, t *testing.T, name string, args ...string) *talk {
	t.Helper()
	k := &talk{t: t, cmd: exec.CommandContext(ctx, name, args...), lines: make(chan string, 1000)}
	var err error
	k.in, err = k.cmd.StdinPipe()
	must(t, err)
	out, err := k.cmd.StdoutPipe()
	must(t, err)
	k.cmd.Stderr = k.cmd.Stdout
	must(t, k.cmd.Start())
	go func() {
		for s := bufio.NewScanner(out); s.Scan(); {
			k.lines <- s.Text()
		}
		close(k.lines)
	}()
	return k
}

// send types a line.
func (k *talk) send(line string) {
	k.t.Helper()
	if _, err := io.WriteString(k.in, line+"\n"); err != nil {
		k.t.Fatalf("type %q: %v", line, err)
	}
}

// await reads lines up to one that contains the text.
func (k *talk) await(text string) {
	k.t.Helper()
	var seen []string
	deadline := time.After(clientTimeout)
	for {
		select {
		case line, more := <-k.lines:
			if strings.Contains(line, text) {
				return
			}
			if seen = append(seen, line); !more {
				k.t.Fatalf("%s ended without %q; it printed\n%s", k.cmd.Path, text, strings.Join(seen, "\n"))
			}
		case <-deadline:
			k.t.Fatalf("%s has not printed %q, but\n%s", k.cmd.Path, text, strings.Join(seen, "\n"))
		}
	}
}

// end ends the input, and waits for the program.
func (k *talk) end() {
	k.t.Helper()
	_ = k.in.Close()
	for range k.lines { // until it is gone
	}
	_ = k.cmd.Wait() // its exit code tells of the connection's end
}
