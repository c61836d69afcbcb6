package integration

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// documentLimit is how long all commands of a document may take.
const documentLimit = testLimit

// ran is a command of a document and what it printed.
type ran struct{ command, output string }

// runDocument runs the commands of a document, the lines that begin with a dollar, in one
// shell, as a new user would: in a folder that has server.json, at an address of the
// test's own, with servers that wait for a leader as long as a busy machine needs. It
// fails the test if a command fails, or does not print a line that begins with the first
// word that the document shows after it. What the document runs by go run must be built.
func runDocument(t *testing.T, name, text string) []ran {
	t.Helper()
	needProgram(t, "bash", "bash")
	needProgram(t, "nc", "netcat-openbsd")
	c, err := cluster.New(cluster.Options{Executable: executable, Dir: t.TempDir(), Servers: 1}) // for its address
	must(t, err)
	host, _, err := net.SplitHostPort(c.Servers[0].ClientAddr)
	must(t, err)
	dir := t.TempDir()
	config, err := os.ReadFile("../../server.json")
	must(t, err)
	patient := fmt.Sprintf(`{"requestTimeoutMs": %d,`, requestPatience.Milliseconds()) // the machine may be busy
	settings := strings.Replace(strings.ReplaceAll(string(config), "127.0.0.1", host), "{", patient, 1)
	must(t, os.WriteFile(filepath.Join(dir, "server.json"), []byte(settings), 0o600))

	replace := strings.NewReplacer("127.0.0.1", host, "go run ./cmd/", "")
	script := "set -em\ntrap 'kill -9 $(jobs -p) 2>/dev/null || true' EXIT\n"
	var commands, shown []string
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		command, isCommand := strings.CutPrefix(line, "    $ ")
		if !isCommand {
			continue
		}
		first := ""
		if output, isOutput := strings.CutPrefix(lines[i+1], "    "); isOutput && !strings.HasPrefix(output, "$ ") {
			first, _, _ = strings.Cut(strings.TrimSpace(output), " ")
		}
		script += fmt.Sprintf("echo '@@@ %d'\n%s\n", len(commands), replace.Replace(command))
		commands, shown = append(commands, command), append(shown, first)
	}
	ctx, cancel := context.WithTimeout(t.Context(), documentLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(executable)+":"+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the shell stops the servers
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.CombinedOutput()
	parts := strings.Split(string(output), "@@@ ")[1:]
	if err != nil || len(parts) != len(commands) {
		t.Fatalf("%s: %d of %d commands: %v\n%s", name, len(parts), len(commands), err, output)
	}
	var all []ran
	for i, part := range parts {
		_, part, _ = strings.Cut(part, "\n")
		if !strings.Contains("\n"+part, "\n"+shown[i]) { // the shell may have told before which process has ended
			t.Errorf("%s prints %q, %s shows %q", commands[i], part, name, shown[i])
		}
		all = append(all, ran{commands[i], part})
	}
	return all
}
