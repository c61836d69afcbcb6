//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"raftcached/bench/footprint"
	"raftcached/bench/steady"
)

// sameContents is what raftcachectl restore says when all servers have what the backup
// has.
const sameContents = "the contents are those of the backup"

// parseSizes reads numbers of servers, separated by commas.
func parseSizes(text string) (sizes []int, err error) {
	for part := range strings.SplitSeq(text, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("-restore is %q: write numbers of servers, like 1,3,5", text)
		}
		sizes = append(sizes, n)
	}
	return sizes, nil
}

// restoreAll restores the backup into new clusters of some sizes, one after the other,
// and prints how long that takes.
func (r *runner) restoreAll(ctx context.Context, f steady.Folder, sizes []int, out *strings.Builder) error {
	fmt.Fprint(out, "\n| restored into | time | MiB/s | the largest server takes | contents |\n| ---: | ---: | ---: | ---: | --- |\n")
	for _, n := range sizes {
		if err := r.restore(ctx, f, n, out); err != nil {
			return fmt.Errorf("restore into %d servers: %w", n, err)
		}
	}
	return nil
}

func (r *runner) restore(ctx context.Context, f steady.Folder, n int, out *strings.Builder) error {
	folder := fmt.Sprintf("restored%d", n)
	servers, err := f.Start(ctx, folder, n, map[string]any{"memoryLimitMiB": r.limitMiB(), "logRetainMiB": 64})
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(filepath.Join(f.Dir, folder)) }() // room for the next one; the whole folder goes anyway
	defer func() { _ = servers.Close() }()                            // the processes end with this one anyway
	begin := time.Now()
	cmd := exec.CommandContext(ctx, r.ctl, "restore", r.file)
	cmd.Dir = filepath.Dir(servers.Config)
	output, err := cmd.CombinedOutput()
	took := time.Since(begin)
	if err == nil && !strings.Contains(string(output), sameContents) {
		err = errors.New("the contents differ")
	}
	if err != nil {
		return fmt.Errorf("raftcachectl restore: %w: %s", err, output)
	}
	peak := int64(0)
	for _, s := range servers.Servers {
		m, err := footprint.ReadMemory(s.Process().Pid())
		if err != nil {
			return err
		}
		peak = max(peak, m.PeakBytes)
	}
	fmt.Fprintf(out, "| %d | %v | %.0f | %d MiB | equal |\n", n, took.Round(100*time.Millisecond), float64(r.fileBytes)/(1<<20)/took.Seconds(), peak>>20)
	return nil
}
