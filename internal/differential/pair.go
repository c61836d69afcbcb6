package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"raftcached/internal/cluster"
)

// Settings of both servers: memory for all items of a run, so that neither evicts.
const (
	memoryMiB      = 2048
	connectionsMax = 4096
)

// pair holds the two servers that are compared.
type pair struct {
	runner
	what string // which they are

	dir        string
	cluster    *cluster.Cluster // nil with options.twice
	memcacheds []*cluster.Memcached
}

// startPair builds and starts the servers, and decides which protocols are
// compared.
func startPair(ctx context.Context, o *options) (p *pair, err error) {
	p = &pair{runner: runner{real: [2]bool{o.twice, true}}}
	if p.dir, err = os.MkdirTemp(o.dir, "differential"); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			p.close()
		}
	}()
	reference, err := p.startMemcached(ctx)
	if err != nil {
		return nil, err
	}
	p.addrs[1] = reference.Addr
	current := !reference.Older()
	o.meta, o.binary = current && !o.classic, current && !o.classic
	o.old = !current
	p.what = reference.Version
	if o.meta {
		p.what += ", classic, meta and binary"
	} else {
		p.what += ", classic commands only"
	}
	if o.twice {
		twin, err := p.startMemcached(ctx)
		if err != nil {
			return nil, err
		}
		p.addrs[0] = twin.Addr
		p.what += ", against itself"
		return p, nil
	}
	executable, err := cluster.Build(ctx, p.dir, "./cmd/raftcached")
	if err != nil {
		return nil, err
	}
	p.cluster, err = cluster.Start(ctx, cluster.Options{
		Executable: executable, Dir: p.dir, Servers: 1,
		Settings: map[string]any{"memoryLimitMiB": memoryMiB, "maxConnections": connectionsMax, "requestTimeoutMs": 10_000},
	})
	if err != nil {
		return nil, err
	}
	p.addrs[0] = p.cluster.Servers[0].ClientAddr
	return p, nil
}

func (p *pair) startMemcached(ctx context.Context) (*cluster.Memcached, error) {
	// With one thread and no maintainer, everything that an answer or the LRU holds is
	// released before the next batch is read, on any connection: see
	// generator.batches.
	m, err := cluster.StartMemcached(ctx, p.dir, "-m", strconv.Itoa(memoryMiB), "-c", strconv.Itoa(connectionsMax),
		"-t", "1", "-o", "no_lru_maintainer,no_lru_crawler")
	if err == nil {
		p.memcacheds = append(p.memcacheds, m)
	}
	return m, err
}

// ended returns why the server under test has ended, or nil if it runs.
func (p *pair) ended() error {
	if p.cluster == nil || p.cluster.Servers[0].Running() {
		return nil
	}
	return fmt.Errorf("the server has ended: %s", p.cluster.Servers[0].LogTail())
}

// close ends both servers and removes their files.
func (p *pair) close() {
	var errs []error
	if p.cluster != nil {
		errs = append(errs, p.cluster.Close())
	}
	for _, m := range p.memcacheds {
		errs = append(errs, m.Close())
	}
	if err := errors.Join(append(errs, os.RemoveAll(p.dir))...); err != nil {
		fmt.Fprintln(os.Stderr, "differential:", err)
	}
}
