package spawn

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"raftcached"
	"raftcached/cmd/internal/tuning"
	"raftcached/internal/settings"
)

// childVariable is set in the environment of the servers. It is the number of the
// file descriptor whose end of file means that the spawner has ended.
const childVariable = settings.SpawnerVariable

// childFD is the first descriptor after the three standard ones: the only entry
// of exec.Cmd.ExtraFiles.
const childFD = 3

// logBytesMax is the size of a log file above which a server gets a new one when it
// starts.
const logBytesMax = 16 << 20

// IsChild reports whether this process is a server that a Spawner started.
func IsChild(getenv func(string) string) bool { return getenv(childVariable) != "" }

// SpawnerGone returns a channel that is closed when the spawner of this server
// has ended. Only a child calls it, once.
func SpawnerGone(getenv func(string) string) (<-chan struct{}, error) {
	fd, err := strconv.Atoi(getenv(childVariable))
	if err != nil || fd < childFD {
		return nil, fmt.Errorf("%s is %q: it is for server-spawner alone, unset it", childVariable, getenv(childVariable))
	}
	pipe := os.NewFile(uintptr(fd), "spawner")
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		_, _ = io.Copy(io.Discard, pipe) // an error means the same as the end of file
	}()
	return gone, nil
}

// child is one server: its process, and its files.
type child struct {
	server  raftcached.Server
	dataDir string
	logFile string
	cmd     *exec.Cmd
}

// start starts the process of a server. It must run on the goroutine that is
// locked to the spawner's thread (see the package comment).
func (c *child) start(configFile string, lifeline *os.File) error {
	log, err := openLog(c.logFile)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	c.cmd = exec.Command(selfExecutable())
	c.cmd.Args = []string{"raftcached", "-config", configFile, "-id", strconv.Itoa(c.server.ID)}
	c.cmd.Env = childEnvironment(os.Environ())
	c.cmd.Stdout, c.cmd.Stderr = log, log
	c.cmd.ExtraFiles = []*os.File{lifeline}
	c.cmd.SysProcAttr = childAttributes()
	_ = tuning.LoosenTimers() // so that it need not start itself again; if this fails, it does
	if err := c.cmd.Start(); err != nil {
		return fmt.Errorf("start server %d: %w", c.server.ID, err)
	}
	return nil
}

// childEnvironment passes the environment on, without the variables that would set
// the same address or folder for every server. With one arena, and the slack of timers that
// start gives it, a child need not start itself again.
func childEnvironment(environment []string) []string {
	env := []string{childVariable + "=" + strconv.Itoa(childFD), tuning.ArenasVariable + "=1"}
	for _, variable := range environment {
		name, _, _ := strings.Cut(variable, "=")
		if !settings.IsOneServers(name) {
			env = append(env, variable)
		}
	}
	return env
}

// openLog opens the file for a server's output. It is beside the data folder, not in
// it: if the folder is wiped, the log stays.
func openLog(file string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("create log folder: %w", err)
	}
	if info, err := os.Stat(file); err == nil && info.Size() > logBytesMax {
		if err := os.Rename(file, file+".old"); err != nil {
			return nil, fmt.Errorf("put log aside: %w", err)
		}
	}
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	return f, nil
}

// reason returns why the process ended: the signal, or the last line of its log.
func (c *child) reason(waitErr error) string {
	state := c.cmd.ProcessState
	if state == nil {
		return fmt.Sprintf("lost: %v", waitErr)
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return "signal " + strconv.Itoa(int(status.Signal())) + " (" + status.Signal().String() + ")"
	}
	text := "exit code " + strconv.Itoa(state.ExitCode())
	if state.ExitCode() == 0 {
		return text
	}
	if line := lastLine(c.logFile); line != "" {
		text += ": " + line
	}
	return text
}

// lastLine returns the last line of a log file, or "".
func lastLine(file string) string {
	const tailBytes = 4096
	f, err := os.Open(file)
	if err != nil {
		return ""
	}
	defer func() { _ = f.Close() }() // only read from
	if info, err := f.Stat(); err == nil && info.Size() > tailBytes {
		if _, err := f.Seek(-tailBytes, io.SeekEnd); err != nil {
			return ""
		}
	}
	tail, err := io.ReadAll(io.LimitReader(f, tailBytes))
	if err != nil {
		return ""
	}
	lines := strings.Split(strings.TrimRight(string(tail), "\n"), "\n")
	return strings.TrimPrefix(lines[len(lines)-1], "raftcached: ")
}
