package cluster

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// Memcached is a real memcached for comparison.
type Memcached struct {
	Addr    string // host:port
	Version string // like "memcached 1.6.18"

	process *Process
}

// FindMemcached returns the path of the program: the one that TEST_RAFTCACHED_MEMCACHED
// names, or else the one in PATH.
func FindMemcached() (string, error) {
	name := os.Getenv("TEST_RAFTCACHED_MEMCACHED")
	if name == "" {
		name = "memcached"
	}
	program, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("find memcached: %w (apt-get install memcached)", err)
	}
	return program, nil
}

// StartMemcached starts a memcached at a random loopback address, as New chooses
// one, and waits until it serves. Its output goes to a file in dir; args are flags
// of its own, like -m.
func StartMemcached(ctx context.Context, dir string, args ...string) (*Memcached, error) {
	program, err := FindMemcached()
	if err != nil {
		return nil, err
	}
	version, err := exec.CommandContext(ctx, program, "-V").Output()
	if err != nil {
		return nil, fmt.Errorf("ask memcached's version: %w", err)
	}
	host, err := RandomLoopback()
	if err != nil {
		return nil, err
	}
	args = append([]string{"-l", host, "-p", fmt.Sprint(clientPort), "-U", "0"}, args...)
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // otherwise it refuses to run as root
	}
	process, err := StartProcess(filepath.Join(dir, "memcached.log"), nil, program, args...)
	if err != nil {
		return nil, err
	}
	m := &Memcached{Addr: joinAddr(host, clientPort), Version: strings.TrimSpace(string(version)), process: process}
	err = Await(ctx, func() error {
		_, err := Ask(ctx, m.Addr, "version")
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("start memcached: %w", errors.Join(err, m.Close()))
	}
	return m, nil
}

// Pid returns the process id.
func (m *Memcached) Pid() int { return m.process.Pid() }

// Close kills the process and waits until it has ended.
func (m *Memcached) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), killTimeout)
	defer cancel()
	return m.process.End(ctx, syscall.SIGKILL)
}

// RandomLoopback returns an address of 127/8 that most likely nobody else uses, for
// servers that a test or a comparison starts.
func RandomLoopback() (string, error) {
	var random [3]byte
	if _, err := rand.Read(random[:]); err != nil {
		return "", err
	}
	return fmt.Sprintf("127.%d.%d.%d", 1+random[0]%254, random[1], 1+random[2]%254), nil
}

// followed is the version whose answers this server reproduces.
var followed = [3]int{1, 6, 45}

// Older reports whether the program is older than the version that this server
// follows. An older one gives some other answers.
func (m *Memcached) Older() bool {
	_, digits, _ := strings.Cut(m.Version, " ")
	for i, part := range strings.SplitN(digits, ".", len(followed)) {
		n, err := strconv.Atoi(strings.TrimFunc(part, func(r rune) bool { return r < '0' || r > '9' }))
		if err != nil || n != followed[i] {
			return err != nil || n < followed[i]
		}
	}
	return false
}
