package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/cluster"
)

// TestGuides runs the commands of docs/from-memcached.md and docs/upgrade.md, on a
// cluster and on a memcached instead of those of the examples.
func TestGuides(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the commands of a document: not in a short run")
	}
	t.Parallel()
	cluster.NeedMemcached(t)
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	awaitExit(ctx, t, ctl, 0, "status")
	m, err := cluster.StartMemcached(ctx, t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, m.Close()) })
	converse(t, m.Addr, "set moved 5 100 1\r\nx\r\nquit\r\n")
	for _, name := range []string{"docs/from-memcached.md", "docs/upgrade.md"} {
		text, err := os.ReadFile(filepath.Join("../..", name))
		must(t, err)
		lines, commands := strings.Split(string(text), "\n"), 0
		for i, line := range lines {
			command, isCommand := strings.CutPrefix(line, "    $ ")
			if !isCommand {
				continue
			}
			commands++
			cmd := exec.CommandContext(ctx, "sh", "-ec", strings.ReplaceAll(command, "10.0.0.9:11211", m.Addr))
			cmd.Dir = filepath.Dir(c.Config)
			cmd.Env = append(os.Environ(), "PATH="+filepath.Dir(executable)+":"+os.Getenv("PATH"))
			output, err := cmd.CombinedOutput()
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", name, command, err, output)
			}
			if shown, isOutput := strings.CutPrefix(lines[i+1], "    "); isOutput && !strings.HasPrefix(shown, "$ ") {
				want, _, _ := strings.Cut(strings.TrimSpace(shown), " ")
				if got, _, _ := strings.Cut(strings.TrimSpace(string(output)), " "); got != want {
					t.Errorf("%s: %s begins with %q, the document shows %q", name, command, got, want)
				}
			}
		}
		if commands == 0 {
			t.Errorf("%s has no commands", name)
		}
	}
	wantEverywhere(t, clientsOf(t, c), "moved", "x")
}
