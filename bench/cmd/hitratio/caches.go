package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"raftcached/bench/hitratio"
	"raftcached/internal/cluster"
)

// The names of the caches, which are columns of the table.
const (
	memcachedName  = "memcached"
	raftcachedName = "raftcached"
	engineName     = "engine"
	lruName        = "lru"
	optimumName    = "optimum"
)

func cacheNames() []string {
	return []string{memcachedName, raftcachedName, engineName, lruName, optimumName}
}

// startTimeout bounds the start of all servers of a row.
const startTimeout = time.Minute

// bench measures rows.
type bench struct {
	config
	dir        string
	executable string   // of raftcached, if it is measured
	versions   []string // of the servers
	errors     []string // sentences about servers that answered errors
}

func newBench(ctx context.Context, c config, dir string) (*bench, error) {
	b := &bench{config: c, dir: dir}
	var programs []string
	if slices.Contains(c.caches, memcachedName) {
		program, err := cluster.FindMemcached()
		if err != nil {
			return nil, err
		}
		programs = append(programs, program)
	}
	if slices.Contains(c.caches, raftcachedName) {
		var err error
		if b.executable, err = cluster.Build(ctx, dir, "./cmd/raftcached"); err != nil {
			return nil, err
		}
		programs = append(programs, b.executable)
	}
	for _, program := range programs {
		version, err := versionOf(ctx, program)
		if err != nil {
			return nil, err
		}
		b.versions = append(b.versions, version)
	}
	return b, nil
}

// measure fills in the misses of each cache.
func (b *bench) measure(ctx context.Context, run hitratio.Run, row hitratio.Row) (hitratio.Row, error) {
	row.Requests, row.Misses = run.Measured(), map[string]int{}
	for _, name := range b.caches {
		start := time.Now()
		misses, err := b.measureCache(ctx, name, run, row)
		if err != nil {
			return row, fmt.Errorf("measure %s, %s, %d MiB: %w", name, row.Trace, row.MemoryMiB, err)
		}
		row.Misses[name] = misses
		fmt.Fprintf(os.Stderr, "%s, %d MiB, %s: %d misses in %v\n",
			row.Trace, row.MemoryMiB, name, misses, time.Since(start).Round(time.Millisecond))
	}
	return row, nil
}

func (b *bench) measureCache(ctx context.Context, name string, run hitratio.Run, row hitratio.Row) (misses int, err error) {
	memoryBytes := int64(row.MemoryMiB) << 20
	switch name {
	case memcachedName:
		return b.measureMemcached(ctx, run, row)
	case raftcachedName:
		return b.measureCluster(ctx, run, row)
	case engineName:
		replicas, err := hitratio.NewReplicas(b.items, memoryBytes, b.hintRounds)
		if err != nil {
			return 0, err
		}
		defer replicas.Close()
		misses, err = hitratio.Measure(ctx, replicas, run)
		return misses, errors.Join(err, replicas.Check())
	case lruName:
		return hitratio.Measure(ctx, hitratio.NewLRU(b.items, memoryBytes, run.KeyCount()), run)
	default: // optimumName; config.check allows nothing else
		return hitratio.Optimum(b.items, memoryBytes, run), nil
	}
}

// memcachedThreads are as many as memcached can use beside the client.
const memcachedThreads = 2

// measureMemcached measures a memcached with default settings, except for its memory.
func (b *bench) measureMemcached(ctx context.Context, run hitratio.Run, row hitratio.Row) (misses int, err error) {
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	m, err := cluster.StartMemcached(startCtx, b.dir, "-m", strconv.Itoa(row.MemoryMiB), "-t", strconv.Itoa(memcachedThreads))
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, m.Close()) }()
	misses, err = b.measureServers(ctx, memcachedName, []string{m.Addr}, run, row)
	return misses, errors.Join(err, checkMemory(ctx, m.Addr, row.MemoryMiB))
}

// checkMemory returns an error if memcached used more memory for items than its limit:
// it allocates a page for each slab class, even beyond the limit.
func checkMemory(ctx context.Context, addr string, limitMiB int) error {
	stats, err := cluster.Stats(ctx, addr, "slabs")
	if err != nil {
		return err
	}
	taken, err := strconv.ParseInt(stats["total_malloced"], 10, 64)
	if err != nil {
		return fmt.Errorf("read total_malloced: %w", err)
	}
	if limit := int64(limitMiB) << 20; taken > limit {
		return fmt.Errorf("it took %d bytes for items, with a limit of %d: give more -keys", taken, limit)
	}
	return nil
}

// measureCluster measures a new cluster with empty data folders.
func (b *bench) measureCluster(ctx context.Context, run hitratio.Run, row hitratio.Row) (misses int, err error) {
	dir, err := os.MkdirTemp(b.dir, "cluster")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	startCtx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	c, err := cluster.Start(startCtx, cluster.Options{
		Executable: b.executable, Dir: dir, Servers: hitratio.Nodes,
		Settings: map[string]any{"memoryLimitMiB": row.MemoryMiB},
	})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return b.measureServers(ctx, raftcachedName, c.ClientAddrs(), run, row)
}

func (b *bench) measureServers(ctx context.Context, name string, addrs []string, run hitratio.Run, row hitratio.Row) (misses int, err error) {
	servers, err := hitratio.Dial(ctx, b.items, addrs)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, servers.Close()) }()
	misses, err = hitratio.Measure(ctx, servers, run)
	if count, first := servers.Errors(); count > 0 {
		b.errors = append(b.errors, fmt.Sprintf("%s, %d MiB, %s: %d requests were answered with an error, the first with %q.",
			row.Trace, row.MemoryMiB, name, count, first))
	}
	return misses, err
}

// writeErrors writes which servers answered with errors. Their rows mean less.
func (b *bench) writeErrors(w io.Writer) error {
	for _, line := range b.errors {
		if _, err := fmt.Fprintf(w, "\n%s\n", line); err != nil {
			return err
		}
	}
	return nil
}
