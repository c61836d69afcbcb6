//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	load "raftcached/bench"
	"raftcached/bench/footprint"
)

// keyBytes is the length of every key.
const keyBytes = 32

// emptyQuiet is how long the memory of an empty server must stay the same. It also
// applies to memcached, which frees no memory in the background.
const emptyQuiet = 5 * time.Second

// items measures the memory per item of each server in turn. After an error it still
// writes what was measured before.
func (b *bench) items(ctx context.Context, out io.Writer) error {
	rows, failed := b.itemRows(ctx)
	_, err := fmt.Fprintf(out, "\n## RSS for each item\n\n"+
		"Of a cluster, the largest process. Loaded: when the last item was there; RSS: when raftcached wrote no snapshot any\n"+
		"more and its memory had stayed the same for %v. The ratio is of RSS / items, to memcached's.\n"+
		"Of raftcached's RSS, items is what its items and their index lie in, program its code, other Go's heap and stacks.\n\n",
		b.quiet)
	return errors.Join(failed, err, footprint.WriteItems(out, rows))
}

func (b *bench) itemRows(ctx context.Context) (rows []footprint.ItemRow, err error) {
	for _, items := range b.config.items {
		for _, valueBytes := range b.values {
			more, err := b.itemsOfSize(ctx, items, valueBytes)
			rows = append(rows, more...)
			if err != nil {
				return rows, err
			}
		}
	}
	return rows, nil
}

// itemsOfSize measures all servers with the same items.
func (b *bench) itemsOfSize(ctx context.Context, items, valueBytes int) (rows []footprint.ItemRow, err error) {
	limitMiB := memoryMiB(items, valueBytes)
	s, err := b.startMemcached(ctx, limitMiB)
	if err != nil {
		return nil, err
	}
	rival, err := b.itemsIn(ctx, s, items, valueBytes, min(b.quiet, emptyQuiet))
	if err != nil {
		return nil, err
	}
	rows = append(rows, rival)
	for _, nodes := range b.nodes {
		s, err := b.startRaftcached(ctx, nodes, limitMiB)
		if err != nil {
			return rows, err
		}
		row, err := b.itemsIn(ctx, s, items, valueBytes, b.quiet)
		if err != nil {
			return rows, err
		}
		row.Rival = &rival
		rows = append(rows, row)
	}
	return rows, nil
}

// itemsIn fills an empty server, reads its memory, and stops it.
func (b *bench) itemsIn(ctx context.Context, s *server, items, valueBytes int, quiet time.Duration) (row footprint.ItemRow, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("%s, %d items of %d bytes: %w", s.name, items, valueBytes, err)
		}
		err = errors.Join(err, s.stop())
	}()
	row = footprint.ItemRow{Items: items, ValueBytes: valueBytes, Server: s.name}
	if err := s.warmUp(ctx); err != nil {
		return row, err
	}
	empty, err := footprint.Settle(ctx, min(b.quiet, emptyQuiet), s.read)
	if err != nil {
		return row, err
	}
	say("%s: loading %d items of %d bytes", s.name, items, valueBytes)
	if err := b.fill(ctx, s, b.workload(items, valueBytes)); err != nil {
		return row, err
	}
	loaded, err := s.read()
	if err != nil {
		return row, err
	}
	say("%s: loaded, %d bytes of RSS; waiting for it to settle", s.name, loaded.Bytes)
	settled, err := footprint.Settle(ctx, quiet, s.read)
	if err != nil {
		return row, err
	}
	say("%s: settled, %d bytes of RSS", s.name, settled.Bytes)
	row.EmptyBytes, row.LoadedBytes, row.Bytes = empty.Bytes, loaded.Bytes, settled.Bytes
	if row.Evictions, err = s.stat(ctx, "evictions"); err != nil {
		return row, err
	}
	pid, _, err := s.largest()
	if err != nil {
		return row, err
	}
	row.Where, err = footprint.ReadWhere(pid)
	return row, err
}

// workload returns the mix of the part gc; its sets fill servers.
func (b *bench) workload(items, valueBytes int) load.Workload {
	return load.Workload{
		Conns: b.conns, Depth: b.depth, GetRatio: 0.9, Keys: items, Theta: 0.99,
		KeyBytes: keyBytes, ValueBytes: valueBytes, Threads: 1, Seed: 1,
	}
}

// fill sets all keys and waits until they are stored.
func (b *bench) fill(ctx context.Context, s *server, w load.Workload) error {
	if err := w.Check(); err != nil {
		return err
	}
	if err := load.Fill(ctx, load.Target{Name: s.name, Addrs: s.addrs}, w); err != nil {
		return err
	}
	return s.awaitItems(ctx, w.Keys)
}
