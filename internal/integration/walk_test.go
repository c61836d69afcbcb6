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

// walkLimit is how long the walk may take.
const walkLimit = testLimit

// walkOf splits docs/operate.md into the walk through a cluster and the rest.
func walkOf(t *testing.T, text string) (walk, rest string) {
	t.Helper()
	before, walk, found := strings.Cut(text, "## From the first start to the last")
	walk, after, ends := strings.Cut(walk, "\n## ")
	if !found || !ends {
		t.Fatal("docs/operate.md has no walk through a cluster")
	}
	return walk, before + "## " + after
}

// TestWalkThroughACluster runs the walk of docs/operate.md in one shell, as a new user
// would, and looks for the beginning of what is shown there of each command.
func TestWalkThroughACluster(t *testing.T) {
	t.Parallel()
	needProgram(t, "bash", "bash")
	needProgram(t, "nc", "netcat-openbsd")
	_, err := buildCtl()
	must(t, err)
	c, err := cluster.New(cluster.Options{Executable: executable, Dir: t.TempDir(), Servers: 1}) // for its address
	must(t, err)
	host, _, err := net.SplitHostPort(c.Servers[0].ClientAddr)
	must(t, err)
	dir := t.TempDir()
	config, err := os.ReadFile("../../server.json")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "server.json"), []byte(strings.ReplaceAll(string(config), "127.0.0.1", host)), 0o600))
	text, err := os.ReadFile("../../docs/operate.md")
	must(t, err)
	walk, _ := walkOf(t, string(text))

	script := "set -em\ntrap 'kill -9 $(jobs -p) 2>/dev/null || true' EXIT\n"
	var commands, shown []string
	lines := strings.Split(walk, "\n")
	for i, line := range lines {
		command, isCommand := strings.CutPrefix(line, "    $ ")
		if !isCommand {
			continue
		}
		first := ""
		if output, isOutput := strings.CutPrefix(lines[i+1], "    "); isOutput && !strings.HasPrefix(output, "$ ") {
			first, _, _ = strings.Cut(output, " ")
		}
		script += fmt.Sprintf("echo '@@@ %d'\n%s\n", len(commands), strings.ReplaceAll(command, "127.0.0.1", host))
		commands, shown = append(commands, command), append(shown, first)
	}
	ctx, cancel := context.WithTimeout(t.Context(), walkLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(executable)+":"+os.Getenv("PATH"))
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // the shell stops the servers
	cmd.WaitDelay = 5 * time.Second
	output, err := cmd.CombinedOutput()
	parts := strings.Split(string(output), "@@@ ")[1:]
	for i, part := range parts {
		_, part, _ = strings.Cut(part, "\n")
		if !strings.Contains("\n"+part, "\n"+shown[i]) { // the shell may have told before which process has ended
			t.Errorf("%s prints %q, docs/operate.md shows %q", commands[i], part, shown[i])
		}
	}
	if err != nil || len(parts) != len(commands) || len(commands) < 20 {
		t.Fatalf("%d of %d commands: %v\n%s", len(parts), len(commands), err, output)
	}
	if strings.Count(parts[len(parts)-2], "VALUE ") != 2 {
		t.Errorf("after the restore there is\n%s", parts[len(parts)-2])
	}
}
