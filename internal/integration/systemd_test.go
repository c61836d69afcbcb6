package integration

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

const unitFile = "../../deploy/systemd/raftcached.service"

// unitSetting returns the value of a setting of the unit.
func unitSetting(t *testing.T, unit, name string) string {
	t.Helper()
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("the unit has no %s", name)
	return ""
}

// TestSystemdUnit runs what the unit starts, with its paths elsewhere, and is the supervisor: it
// is told when the server serves, that it lives, and when it stops; a stop takes no longer
// than the unit allows.
func TestSystemdUnit(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	must(t, c.Servers[0].Stop(ctx))
	text, err := os.ReadFile(unitFile)
	must(t, err)
	unit, dir := string(text), t.TempDir()
	command := strings.NewReplacer("/etc/raftcached/server.json", c.Config, "/var/lib/raftcached", filepath.Join(dir, "data")).
		Replace(unitSetting(t, unit, "ExecStart"))
	args := strings.Fields(command)
	if args[0] != "/usr/bin/raftcached" {
		t.Fatalf("the unit starts %s", args[0])
	}
	socket := filepath.Join(dir, "notify")
	supervisor, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer func() { _ = supervisor.Close() }() // nothing more is told
	process, err := cluster.StartProcess(filepath.Join(dir, "log"),
		[]string{"NOTIFY_SOCKET=" + socket, "WATCHDOG_USEC=200000", "RAFTCACHED_ID=0"}, executable, args[1:]...)
	must(t, err)
	t.Cleanup(func() { _ = process.Signal(syscall.SIGKILL) }) // it has ended, if all went well

	told := func(want string) {
		t.Helper()
		must(t, supervisor.SetReadDeadline(time.Now().Add(20*time.Second)))
		b := make([]byte, 4096)
		for {
			n, err := supervisor.Read(b)
			must(t, err)
			if strings.HasPrefix(string(b[:n]), want) {
				return
			}
		}
	}
	told("READY=1\nSTATUS=serving clients at ")
	if got := testclient.Dial(t, c.Servers[0].ClientAddr).Ask("set a 0 0 1", "1"); got != "STORED" {
		t.Fatalf("a server that is ready answers %q", got)
	}
	told("WATCHDOG=1")
	told("WATCHDOG=1")
	must(t, process.Signal(syscall.SIGHUP)) // as ExecReload does
	allowed, err := time.ParseDuration(unitSetting(t, unit, "TimeoutStopSec"))
	must(t, err)
	began := time.Now()
	must(t, process.Signal(syscall.SIGTERM))
	told("STOPPING=1")
	<-process.Done()
	if took := time.Since(began); process.ExitCode() != 0 || took > allowed {
		t.Errorf("exit code %d after %v, the unit allows %v", process.ExitCode(), took, allowed)
	}
}

// TestSystemdVerifiesTheUnit, where there is systemd.
func TestSystemdVerifiesTheUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		skip(t, "needs systemd-analyze of the Debian package systemd")
	}
	text, err := os.ReadFile(unitFile)
	must(t, err)
	file := filepath.Join(t.TempDir(), "raftcached.service")
	must(t, os.WriteFile(file, []byte(strings.ReplaceAll(string(text), "/usr/bin/raftcached", executable)), 0o600))
	out, err := exec.CommandContext(t.Context(), analyze, "verify", "--man=no", file).CombinedOutput()
	if err != nil || strings.Contains(string(out), "raftcached") { // it may complain of the machine's own units
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
}
