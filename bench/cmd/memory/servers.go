//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"raftcached/bench/footprint"
	"raftcached/internal/cluster"
)

// startTimeout bounds the start of a server.
const startTimeout = time.Minute

// The memory and disk that a raftcached server may need in addition to its items:
// Go's heap, which includes the last 8 MiB of the log, and the log that is retained.
const (
	heapMiB      = 512
	logRetainMiB = 1024
)

// memoryMiB returns a limit that is large enough for the items in either server.
// memcached rounds them up to its slab classes, by at most a quarter.
func memoryMiB(items, valueBytes int) int {
	const overheadBytes = 128
	return 64 + int(1.25*float64(items)*float64(keyBytes+valueBytes+overheadBytes)/(1<<20))
}

// bench runs the measurements.
type bench struct {
	config
	dir        string
	executable string   // of raftcached
	versions   []string // of the servers
}

func newBench(ctx context.Context, c config, dir string) (*bench, error) {
	b := &bench{config: c, dir: dir}
	var programs []string
	if slices.Contains(c.parts, itemsPart) {
		program, err := cluster.FindMemcached()
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	var err error
	if b.executable, err = cluster.Build(ctx, dir, "./cmd/raftcached"); err != nil {
		return nil, err
	}
	for _, program := range append(programs, b.executable) {
		version, err := exec.CommandContext(ctx, program, "-V").Output()
		if err != nil {
			return nil, fmt.Errorf("ask %s for its version: %w", program, err)
		}
		b.versions = append(b.versions, strings.TrimSpace(string(version)))
	}
	return b, nil
}

// server is what is measured: one process, or those of a cluster.
type server struct {
	name    string
	addrs   []string // host:port each
	pids    []int
	folders []string // of data that is written in the background
	logFile string   // what the first process prints
	stop    func() error
}

// startMemcached starts a memcached with default settings, except for its memory and
// as many threads as raftcached uses.
func (b *bench) startMemcached(ctx context.Context, limitMiB int) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	m, err := cluster.StartMemcached(ctx, b.dir, "-m", strconv.Itoa(limitMiB), "-t", strconv.Itoa(min(4, runtime.NumCPU())))
	if err != nil {
		return nil, err
	}
	return &server{name: "memcached", addrs: []string{m.Addr}, pids: []int{m.Pid()}, stop: m.Close}, nil
}

// startRaftcached starts a cluster with empty data folders, which stop removes.
func (b *bench) startRaftcached(ctx context.Context, nodes, limitMiB int, environment ...string) (*server, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	dir, err := os.MkdirTemp(b.dir, "raftcached")
	if err != nil {
		return nil, err
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Executable: b.executable, Dir: dir, Servers: nodes, Environment: environment,
		Settings: map[string]any{"memoryLimitMiB": limitMiB, "logRetainMiB": logRetainMiB},
	})
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	s := &server{
		name: fmt.Sprintf("raftcached, nodes: %d", nodes), addrs: c.ClientAddrs(), logFile: c.Servers[0].LogFile,
		stop: func() error { return errors.Join(c.Close(), os.RemoveAll(dir)) },
	}
	for _, member := range c.Servers {
		s.pids, s.folders = append(s.pids, member.Process().Pid()), append(s.folders, member.DataDir)
	}
	return s, nil
}

// warmUp connects to each process, so that the memory for connections does not count
// as memory for items.
func (s *server) warmUp(ctx context.Context) error {
	for _, addr := range s.addrs {
		if _, err := cluster.Ask(ctx, addr, "get nothing"); err != nil {
			return fmt.Errorf("warm up: %w", err)
		}
	}
	return nil
}

// read returns the memory of the largest process, and the existing snapshots.
func (s *server) read() (r footprint.Reading, err error) {
	_, m, err := s.largest()
	if err != nil {
		return r, err
	}
	r.Bytes = m.Bytes
	for _, folder := range s.folders {
		files, err := snapshotsIn(folder)
		if err != nil {
			return r, err
		}
		r.Mark += files
	}
	return r, nil
}

// largest returns the process that uses the most memory now.
func (s *server) largest() (pid int, m footprint.Memory, err error) {
	for _, candidate := range s.pids {
		memory, err := footprint.ReadMemory(candidate)
		if err != nil {
			return 0, m, err
		}
		if memory.Bytes > m.Bytes {
			pid, m = candidate, memory
		}
	}
	return pid, m, nil
}

// snapshotsIn lists the snapshots in a data folder with their sizes, including those
// that are being written.
func snapshotsIn(dir string) (list string, err error) {
	err = filepath.WalkDir(dir, func(file string, entry fs.DirEntry, err error) error {
		if err == nil && (strings.HasSuffix(file, ".snap") || strings.HasSuffix(file, ".tmp")) {
			var info fs.FileInfo
			if info, err = entry.Info(); err == nil {
				list += fmt.Sprintf("%s %d\n", file, info.Size())
			}
		}
		if errors.Is(err, fs.ErrNotExist) { // removed meanwhile
			return nil
		}
		return err
	})
	return list, err
}

// stat returns the sum of a number in `stats` over the processes.
func (s *server) stat(ctx context.Context, name string) (sum int64, err error) {
	for _, addr := range s.addrs {
		stats, err := cluster.Stats(ctx, addr, "")
		if err != nil {
			return 0, err
		}
		n, err := strconv.ParseInt(stats[name], 10, 64)
		if err != nil {
			return 0, fmt.Errorf("read %s of %s: %w", name, addr, err)
		}
		sum += n
	}
	return sum, nil
}

// awaitItems waits until every process holds the given number of items.
func (s *server) awaitItems(ctx context.Context, items int) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	return cluster.Await(ctx, func() error {
		sum, err := s.stat(ctx, "curr_items")
		if want := int64(items * len(s.addrs)); err == nil && sum != want {
			err = fmt.Errorf("%s has %d items, want %d", s.name, sum, want)
		}
		return err
	})
}
