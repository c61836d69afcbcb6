//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// startTimeout bounds the start of one system.
const startTimeout = time.Minute

// memoryMiB is the memory for items of every server: enough that none evicts.
const memoryMiB = 256

// system is servers that run. One goroutine uses it.
type system interface {
	// measure drives the servers for one round, in a dialect that they speak.
	measure(ctx context.Context, w bench.Workload, d bench.Dialect, duration time.Duration) (Measured, error)
	pids() []int
	close() error
}

// filler is a system that can be filled before it is measured.
type filler interface {
	addresses() []string
}

// network is servers that package bench's generator drives.
type network struct {
	addrs     []string // host:port each
	processes []*cluster.Process
}

func (n *network) addresses() []string { return n.addrs }

func (n *network) pids() []int { return pidsOf(n.processes) }

func (n *network) measure(ctx context.Context, w bench.Workload, d bench.Dialect, duration time.Duration) (Measured, error) {
	return measureNetwork(ctx, n.addrs, w, d, duration)
}

// measureNetwork drives servers with package bench's generator.
func measureNetwork(ctx context.Context, addrs []string, w bench.Workload, d bench.Dialect, duration time.Duration) (Measured, error) {
	r, err := bench.Measure(ctx, bench.Target{Name: addrs[0], Addrs: addrs, Dialect: d}, w, duration)
	if err != nil {
		return Measured{}, err
	}
	return measuredOf(r), nil
}

func (n *network) close() error { return kill(n.processes...) }

func pidsOf(processes []*cluster.Process) []int {
	pids := make([]int, len(processes))
	for i, p := range processes {
		pids[i] = p.Pid()
	}
	return pids
}

func (p *inProcess) pids() []int { return []int{p.process.Pid()} }

// ours is a cluster of raftcached servers.
type ours struct{ *cluster.Cluster }

func (o ours) pids() []int {
	var pids []int
	for _, s := range o.Servers {
		pids = append(pids, s.Process().Pid())
	}
	return pids
}

func (o ours) addresses() []string { return o.ClientAddrs() }

func (o ours) measure(ctx context.Context, w bench.Workload, d bench.Dialect, duration time.Duration) (Measured, error) {
	return measureNetwork(ctx, o.addresses(), w, d, duration)
}

func (o ours) close() error { return o.Close() }

// memcachedSystem is one memcached.
type memcachedSystem struct{ *cluster.Memcached }

func (m memcachedSystem) pids() []int         { return []int{m.Pid()} }
func (m memcachedSystem) addresses() []string { return []string{m.Addr} }
func (m memcachedSystem) close() error        { return m.Close() }

func (m memcachedSystem) measure(ctx context.Context, w bench.Workload, d bench.Dialect, duration time.Duration) (Measured, error) {
	return measureNetwork(ctx, m.addresses(), w, d, duration)
}

// programs are what systems are made of, by path.
type programs struct {
	raftcached string
	redis      string
}

// findPrograms builds raftcached and looks for Redis, which may be missing.
func findPrograms(ctx context.Context, dir, redis string) (p programs, err error) {
	p.raftcached, err = cluster.Build(ctx, dir, "./cmd/raftcached")
	if path, lookErr := exec.LookPath(redis); lookErr == nil {
		p.redis = path
	}
	return p, err
}

// launcher starts systems, each in a folder of its own.
type launcher struct {
	dir      string
	programs programs
	count    int
}

// start starts a system by its name, a key of systems.
func (l *launcher) start(ctx context.Context, name string) (system, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	l.count++
	dir := filepath.Join(l.dir, fmt.Sprintf("%d-%s", l.count, name))
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	s, err := systems[name](ctx, l, dir)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	return s, nil
}

// systems start servers in a folder, by the name that targets refer to.
var systems = map[string]func(ctx context.Context, l *launcher, dir string) (system, error){
	"raftcached": func(ctx context.Context, l *launcher, dir string) (system, error) {
		return l.startOurs(ctx, dir, 3, nil)
	},
	"raftcached-leases": func(ctx context.Context, l *launcher, dir string) (system, error) {
		return l.startOurs(ctx, dir, 3, map[string]any{"leases": "all"})
	},
	"raftcached-lone": func(ctx context.Context, l *launcher, dir string) (system, error) {
		return l.startOurs(ctx, dir, 1, nil)
	},
	"raftcached-loop": func(ctx context.Context, l *launcher, dir string) (system, error) {
		return l.startOnOneCore(ctx, dir)
	},
	"memcached": func(ctx context.Context, _ *launcher, dir string) (system, error) {
		return startMemcached(ctx, dir, false)
	},
	"memcached-thread": func(ctx context.Context, _ *launcher, dir string) (system, error) {
		return startMemcached(ctx, dir, true)
	},
	"redis-disk": func(ctx context.Context, l *launcher, dir string) (system, error) {
		return l.startRedis(ctx, dir, true)
	},
	"redis-memory": func(ctx context.Context, l *launcher, dir string) (system, error) {
		return l.startRedis(ctx, dir, false)
	},
	"etcd": func(ctx context.Context, _ *launcher, dir string) (system, error) { return startEtcd(ctx, dir) },
	"in-raftcached": func(ctx context.Context, _ *launcher, dir string) (system, error) {
		return startInProcess(ctx, dir, "raftcached")
	},
	"in-tan": func(ctx context.Context, _ *launcher, dir string) (system, error) {
		return startInProcess(ctx, dir, "tan")
	},
	"in-pebble": func(ctx context.Context, _ *launcher, dir string) (system, error) {
		return startInProcess(ctx, dir, "pebble")
	},
}

// startOurs starts n servers with some settings.
func (l *launcher) startOurs(ctx context.Context, dir string, n int, settings map[string]any) (ours, error) {
	all := map[string]any{"memoryLimitMiB": memoryMiB}
	maps.Copy(all, settings)
	c, err := cluster.Start(ctx, cluster.Options{Executable: l.programs.raftcached, Dir: dir, Servers: n, Settings: all})
	return ours{c}, err
}

// startOnOneCore starts a lone server with one event loop on the first core. It knows no
// other: Go counts the cores when a program starts.
func (l *launcher) startOnOneCore(ctx context.Context, dir string) (system, error) {
	pinned := *l
	pinned.programs.raftcached = filepath.Join(dir, "on-first-core")
	script := fmt.Sprintf("#!/bin/sh\nexec taskset -c 0 '%s' \"$@\"\n", l.programs.raftcached)
	if err := os.WriteFile(pinned.programs.raftcached, []byte(script), 0o700); err != nil {
		return nil, err
	}
	return pinned.startOurs(ctx, dir, 1, map[string]any{"threads": 1})
}

// startMemcached starts one with as many threads as raftcached has by default, or with
// one on one core.
func startMemcached(ctx context.Context, dir string, oneCore bool) (system, error) {
	m, err := cluster.StartMemcached(ctx, dir, "-m", fmt.Sprint(memoryMiB), "-c", "4096", "-t", fmt.Sprint(threads(oneCore)))
	if err != nil {
		return nil, err
	}
	s := memcachedSystem{m}
	if oneCore {
		err = pinToFirstCore(s.pids())
	}
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	return s, nil
}

// threads is how many event loops or threads a server has, raftcached's default or one.
func threads(oneCore bool) int {
	if oneCore {
		return 1
	}
	return min(4, runtime.NumCPU())
}

// pinToFirstCore lets all threads of processes run on the first core only.
func pinToFirstCore(pids []int) error {
	var set unix.CPUSet
	set.Set(0)
	for _, pid := range pids {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil {
			return err
		}
		for _, task := range tasks {
			id, err := strconv.Atoi(filepath.Base(task))
			if err == nil {
				err = unix.SchedSetaffinity(id, &set)
			}
			if err != nil && !errors.Is(err, unix.ESRCH) {
				return fmt.Errorf("pin process %d: %w", pid, err)
			}
		}
	}
	return nil
}
