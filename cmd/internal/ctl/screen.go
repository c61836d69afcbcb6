package ctl

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// keyPause is how long a program whose keys are read may go on after its end was wanted.
const keyPause = 100 * time.Millisecond

// What a terminal is told: another screen without a cursor, and back; to begin at the top;
// and to clear what is left of a line, or below.
const (
	enterScreen = "\x1b[?1049h\x1b[?25l"
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	toTop       = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// screen is a terminal on which texts replace each other. Its keys are read one by one and not
// shown, so it has to be given back, whatever ends or stops the program; only SIGKILL leaves it
// as it is. Ctrl-C and the like stay signals.
//
// In the background it is left alone: a shell, or another program, has it.
type screen struct {
	out  *os.File
	keys *os.File // nil: nobody types
	end  func()   // is called for q, and for signals that would end the program at once

	mu     sync.Mutex
	before unix.Termios // of keys
	taken  bool
	halted bool // from SIGTSTP to SIGCONT

	signals chan os.Signal
	closing chan struct{}
	served  sync.WaitGroup
}

// openScreen takes the terminal. Keys come from in, if that is one too.
func openScreen(out *os.File, in io.Reader, end func()) (*screen, error) {
	s := &screen{out: out, end: end, signals: make(chan os.Signal, 8), closing: make(chan struct{})}
	if keys, isFile := in.(*os.File); isFile {
		if before, err := unix.IoctlGetTermios(int(keys.Fd()), unix.TCGETS); err == nil {
			s.keys, s.before = keys, *before
		}
	}
	signal.Notify(s.signals, unix.SIGHUP, unix.SIGQUIT, unix.SIGTSTP, unix.SIGCONT)
	s.served.Go(s.heed)
	if s.keys != nil {
		s.served.Go(s.readKeys)
	}
	if err := s.draw(""); err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// close gives the terminal back.
func (s *screen) close() error {
	defer signal.Stop(s.signals)
	close(s.closing)
	s.served.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.leave()
}

// draw shows a text, with the escapes that place it, and takes the terminal before if it has
// to.
func (s *screen) draw(text string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.halted || !s.foreground() {
		return nil
	}
	if !s.taken {
		s.taken = true
		if s.keys != nil {
			single := s.before
			single.Lflag &^= unix.ICANON | unix.ECHO
			single.Cc[unix.VMIN], single.Cc[unix.VTIME] = 1, 0
			if err := unix.IoctlSetTermios(int(s.keys.Fd()), unix.TCSETS, &single); err != nil {
				return os.NewSyscallError("tcsetattr", err)
			}
		}
		text = enterScreen + text
	}
	_, err := s.out.WriteString(text)
	return err
}

// leave makes the terminal what it was. The caller holds mu.
func (s *screen) leave() error {
	if !s.taken {
		return nil
	}
	s.taken = false
	_, err := s.out.WriteString(leaveScreen)
	if s.keys != nil {
		err = errors.Join(err, os.NewSyscallError("tcsetattr", unix.IoctlSetTermios(int(s.keys.Fd()), unix.TCSETS, &s.before)))
	}
	return err
}

// foreground reports whether the terminal is the program's to change. Who changes it from the
// background is stopped.
func (s *screen) foreground() bool {
	group, err := unix.IoctlGetInt(int(s.out.Fd()), unix.TIOCGPGRP)
	return err != nil || group == unix.Getpgrp() // an error: it is not what controls the program
}

// heed does what signals want.
func (s *screen) heed() {
	for {
		select {
		case <-s.closing:
			return
		case got := <-s.signals:
			switch got {
			case unix.SIGTSTP:
				s.halt()
			case unix.SIGCONT: // from a halt, or from SIGSTOP: a shell has changed the terminal since
				s.mu.Lock()
				s.taken, s.halted = false, false
				s.mu.Unlock()
				_ = s.draw("") // the next text will fail too
			default:
				s.end()
			}
		}
	}
}

// halt stops the program until SIGCONT, without the terminal.
func (s *screen) halt() {
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.leave() // the program stops all the same
	s.halted = true
	_ = unix.Kill(unix.Getpid(), unix.SIGSTOP) // it may stop a little later
}

// readKeys waits for q.
func (s *screen) readKeys() {
	fd := int(s.keys.Fd())
	var keys [64]byte
	for {
		select {
		case <-s.closing:
			return
		default:
		}
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, int(keyPause.Milliseconds()))
		switch {
		case n == 0, errors.Is(err, syscall.EINTR):
			continue
		case err != nil:
			return
		case !s.foreground(): // they are for somebody else
			time.Sleep(keyPause)
			continue
		}
		if n, err = unix.Read(fd, keys[:]); n <= 0 && !errors.Is(err, syscall.EINTR) {
			return // the terminal is gone
		}
		if bytes.ContainsAny(keys[:max(n, 0)], "qQ") {
			s.end()
		}
	}
}
