package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
)

// Build compiles the program in packageDir, a path from the repository's root
// like "./cmd/raftcached", into dir, and returns the executable's name. flags
// are go build's, like -race.
func Build(ctx context.Context, dir, packageDir string, flags ...string) (string, error) {
	root, err := repositoryRoot()
	if err != nil {
		return "", err
	}
	executable := filepath.Join(dir, filepath.Base(packageDir))
	args := append([]string{"build", "-o", executable}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, packageDir)...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "GOWORK=off") // only the product's own go.mod counts
	if output, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w\n%s", packageDir, err, output)
	}
	return executable, nil
}

// moduleLine is the line of go.mod that names the product's module. The
// repository has other modules in folders below it.
const moduleLine = "module raftcached"

// repositoryRoot returns the folder of the product's go.mod: the working
// directory or one above it.
func repositoryRoot() (string, error) {
	start, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir := start; ; dir = filepath.Dir(dir) {
		text, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && slices.Contains(strings.Split(string(text), "\n"), moduleLine) {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("find the repository: no go.mod with %q in or above %q", moduleLine, start)
		}
	}
}

// Process is one running program.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended; err is set before
	err  error
}

// StartProcess starts a program whose output is appended to logFile. Its
// environment is this program's and the given variables, NAME=VALUE.
func StartProcess(logFile string, environment []string, name string, args ...string) (*Process, error) {
	log, err := os.OpenFile(logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	defer func() { _ = log.Close() }() // the process has its own descriptor
	p := &Process{cmd: exec.Command(name, args...), done: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.SysProcAttr = attributes()
	if err := startOnLastingThread(p.cmd); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Limited returns a command that runs a program with ulimit's arguments, which it
// cannot raise, even as root. It needs setpriv of util-linux.
func Limited(limits, program string, args ...string) (name string, arguments []string) {
	shell := "ulimit " + limits + ` && exec setpriv --bounding-set=-sys_resource -- "$0" "$@"`
	return "/bin/bash", append([]string{"-c", shell, program}, args...)
}

// startOnLastingThread starts a command on a thread that lives as long as this
// program: the parent-death signal is sent when the starting thread ends.
func startOnLastingThread(cmd *exec.Cmd) error {
	starterOnce.Do(func() {
		starts = make(chan start)
		go func() {
			runtime.LockOSThread()
			for s := range starts {
				s.result <- s.cmd.Start()
			}
		}()
	})
	s := start{cmd, make(chan error)}
	starts <- s
	return <-s.result
}

type start struct {
	cmd    *exec.Cmd
	result chan error
}

var (
	starterOnce sync.Once
	starts      chan start // to the goroutine that owns the lasting thread
)

// Pid returns the process id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Done returns a channel that is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// ExitCode returns the exit code of a process that has ended, -1 after a signal.
func (p *Process) ExitCode() int { return p.cmd.ProcessState.ExitCode() }

// Signal sends a signal. A process that has ended already is no error.
func (p *Process) Signal(sig syscall.Signal) error {
	if err := p.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("signal process %d: %w", p.Pid(), err)
	}
	return nil
}

// End sends a signal and waits until the process has ended.
func (p *Process) End(ctx context.Context, sig syscall.Signal) error {
	if err := p.Signal(sig); err != nil {
		return err
	}
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for process %d to end: %w", p.Pid(), ctx.Err())
	}
}

// attributes ties a process to the thread that starts it, and keeps the terminal's
// signals away from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
