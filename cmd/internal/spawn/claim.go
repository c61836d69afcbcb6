package spawn

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"raftcached"
)

// lockName is the file that a spawner keeps locked in the parent of its servers'
// data folders. It contains the spawner's process id.
const lockName = "spawner.lock"

// claimData locks the data folders for this spawner. Its error names the process
// that has them. The lock ends with the process, so a killed spawner leaves no lock.
func claimData(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open lock: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err != nil {
		holder, _ := io.ReadAll(io.LimitReader(f, 20)) // it only improves the message
		_ = f.Close()                                  // nothing was written
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock data folder %q: %w", dir, err)
		}
		return nil, fmt.Errorf("data folder %q is in use by the server-spawner with pid %s: stop that one, or name another config",
			dir, strings.TrimSpace(string(holder)))
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	if err != nil {
		_ = f.Close() // the write failed already
		return nil, fmt.Errorf("write lock of data folder %q: %w", dir, err)
	}
	return f, nil
}

// checkPorts reports the first port of the servers that another program uses. It
// is a courtesy: the servers would find out themselves, but one after the other.
func checkPorts(servers []raftcached.Server) error {
	for _, s := range servers {
		for _, p := range []struct{ name, addr string }{
			{"clientPort", s.ClientAddr()},
			{"logPort", s.PeerAddr()},
			{"adminPort", s.AdminAddr()},
		} {
			if p.addr == "" {
				continue
			}
			l, err := net.Listen("tcp", p.addr)
			switch {
			case errors.Is(err, syscall.EADDRINUSE):
				return fmt.Errorf("%s %s of server %d is in use: stop the program that has it, or change %s in the config",
					p.name, p.addr, s.ID, p.name)
			case err != nil:
				return fmt.Errorf("%s %s of server %d cannot be opened here: change host or %s in the config (%w)",
					p.name, p.addr, s.ID, p.name, err)
			}
			if err := l.Close(); err != nil {
				return fmt.Errorf("close %s: %w", p.addr, err)
			}
		}
	}
	return nil
}
