package integration

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"raftcached/internal/cluster"
)

// The escapes by which a program takes a terminal's other screen, and gives it back.
const (
	screenTaken = "\x1b[?1049h"
	screenGiven = "\x1b[?1049l"
)

// terminal is a terminal, and what sits at it.
type terminal struct {
	master, slave *os.File

	mu    sync.Mutex
	shown bytes.Buffer
	read  sync.WaitGroup
}

// openTerminal opens a terminal until the test ends.
func openTerminal(t *testing.T) *terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	must(t, unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0))
	number, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	must(t, err)
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	must(t, err)
	s := &terminal{master: master, slave: slave}
	s.read.Go(func() {
		text := make([]byte, 4096)
		for {
			n, err := master.Read(text)
			s.mu.Lock()
			s.shown.Write(text[:n])
			s.mu.Unlock()
			if err != nil {
				return // all other ends are closed
			}
		}
	})
	t.Cleanup(func() {
		_ = slave.Close()
		s.read.Wait()
		_ = master.Close()
	})
	return s
}

// modes returns how the terminal treats keys.
func (s *terminal) modes(t *testing.T) unix.Termios {
	t.Helper()
	modes, err := unix.IoctlGetTermios(int(s.slave.Fd()), unix.TCGETS)
	must(t, err)
	return *modes
}

// press types a key.
func (s *terminal) press(t *testing.T, key string) {
	t.Helper()
	_, err := s.master.WriteString(key)
	must(t, err)
}

// count returns how often a text was shown.
func (s *terminal) count(text string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Count(s.shown.Bytes(), []byte(text))
}

// await waits until a condition is met.
func (s *terminal) await(t *testing.T, condition func() error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	must(t, cluster.Await(ctx, condition))
}

// startTop starts raftcachectl top as what controls a terminal, and waits until it has it for
// the first time.
func startTop(t *testing.T, s *terminal) *exec.Cmd {
	t.Helper()
	program, err := buildCtl()
	must(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, program, "top", "-s", "127.0.0.1:1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.slave, s.slave, s.slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	must(t, cmd.Start())
	awaitTaken(t, s, 1)
	return cmd
}

// awaitTaken waits until a terminal was taken so often and shows no keys.
func awaitTaken(t *testing.T, s *terminal, times int) {
	t.Helper()
	s.await(t, func() error {
		if s.count(screenTaken) != times || s.modes(t).Lflag&(unix.ECHO|unix.ICANON) != 0 {
			return errors.New("the terminal was not taken")
		}
		return nil
	})
}

// TestTopGivesTheTerminalBack as it was, whatever ends it: keys, or signals.
func TestTopGivesTheTerminalBack(t *testing.T) {
	t.Parallel()
	key := func(key string) func(*testing.T, *terminal, *exec.Cmd) {
		return func(t *testing.T, s *terminal, _ *exec.Cmd) { s.press(t, key) }
	}
	signal := func(signal syscall.Signal) func(*testing.T, *terminal, *exec.Cmd) {
		return func(t *testing.T, _ *terminal, cmd *exec.Cmd) { must(t, cmd.Process.Signal(signal)) }
	}
	for name, end := range map[string]func(*testing.T, *terminal, *exec.Cmd){
		"q": key("xq"), "Ctrl-C": key("\x03"), "Ctrl-backslash": key("\x1c"),
		"SIGINT": signal(unix.SIGINT), "SIGTERM": signal(unix.SIGTERM), "SIGHUP": signal(unix.SIGHUP), "SIGQUIT": signal(unix.SIGQUIT),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := openTerminal(t)
			before := s.modes(t)
			cmd := startTop(t, s)
			end(t, s, cmd)
			if err := cmd.Wait(); cmd.ProcessState.ExitCode() < 0 {
				t.Errorf("it was killed: %v", err)
			}
			awaitGiven(t, s, before)
		})
	}
}

// TestTopThatIsHalted leaves the terminal to the shell meanwhile, and takes it again.
func TestTopThatIsHalted(t *testing.T) {
	t.Parallel()
	s := openTerminal(t)
	before := s.modes(t)
	cmd := startTop(t, s)
	s.press(t, "\x1a") // Ctrl-Z
	var status syscall.WaitStatus
	_, err := syscall.Wait4(cmd.Process.Pid, &status, syscall.WUNTRACED, nil)
	must(t, err)
	if !status.Stopped() {
		t.Fatalf("it has not stopped: %v", status)
	}
	awaitGiven(t, s, before)
	must(t, cmd.Process.Signal(unix.SIGCONT))
	awaitTaken(t, s, 2)
	s.press(t, "q")
	_ = cmd.Wait() // with the exit code of a cluster that does not answer, or before it was asked
	awaitGiven(t, s, before)
}

// awaitGiven waits until the terminal was given back as often as it was taken, and checks its
// modes.
func awaitGiven(t *testing.T, s *terminal, before unix.Termios) {
	t.Helper()
	s.await(t, func() error {
		if given, taken := s.count(screenGiven), s.count(screenTaken); given != taken {
			return fmt.Errorf("the terminal was taken %d times, and given back %d times", taken, given)
		}
		return nil
	})
	if got := s.modes(t); got != before {
		t.Errorf("the modes of the terminal are %+v, were %+v", got, before)
	}
}
