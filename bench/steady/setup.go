//go:build linux

package steady

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"time"

	"raftcached/bench"
	"raftcached/internal/cluster"
)

// StartTimeout bounds the start of servers; with a state it takes a while.
const StartTimeout = 5 * time.Minute

// keyBytes is the length of keys.
const keyBytes = 32

// Setup is real servers full of items, and the load on them, as flags say.
type Setup struct {
	SizeMiB, ValueBytes, Rate, Conns, Servers int
	Dir                                       string // for a temporary folder; "": the system's
}

// AddFlags defines the flags; the fields are their defaults.
func (s *Setup) AddFlags(f *flag.FlagSet) {
	f.IntVar(&s.SizeMiB, "size", 1024, "MiB of items")
	f.IntVar(&s.ValueBytes, "value", 1024, "bytes of a value")
	f.IntVar(&s.Rate, "rate", s.Rate, "sets a second, and as many gets")
	f.IntVar(&s.Conns, "conns", s.Conns, "connections, half of them for sets")
	f.IntVar(&s.Servers, "servers", s.Servers, "servers")
	f.StringVar(&s.Dir, "dir", "", "folder for all files; they take up to five times -size for each server")
}

// Folder is a temporary folder with programs.
type Folder struct {
	Dir      string
	Programs map[string]string // file by name
}

// Main runs a program that prints a report, and exits.
func Main(name string, run func(ctx context.Context, out *strings.Builder) error) {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	var out strings.Builder
	err := run(ctx, &out)
	stop()
	fmt.Print(out.String())
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", name, err)
		os.Exit(1)
	}
}

// In calls use with a temporary folder that has programs of the product, and removes
// it.
func (s *Setup) In(ctx context.Context, use func(Folder) error, programs ...string) error {
	dir, err := os.MkdirTemp(s.Dir, "raftcached-bench")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }() // the system cleans its folder
	f := Folder{dir, map[string]string{}}
	for _, name := range programs {
		if f.Programs[name], err = cluster.Build(ctx, dir, "./cmd/"+name); err != nil {
			return err
		}
	}
	return use(f)
}

// Start starts n servers in a subfolder.
func (f Folder) Start(ctx context.Context, subfolder string, n int, settings map[string]any) (*cluster.Cluster, error) {
	dir := filepath.Join(f.Dir, subfolder)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, StartTimeout)
	defer cancel()
	return cluster.Start(ctx, cluster.Options{Executable: f.Programs["raftcached"], Dir: dir, Servers: n, Settings: settings})
}

// Keys returns how many items there are.
func (s *Setup) Keys() int { return s.SizeMiB << 20 / (s.ValueBytes + keyBytes) }

// Key returns the key of an item.
func (s *Setup) Key(n int) string { return fmt.Sprintf("k%0*d", keyBytes-1, n) }

// Fill sets every item once.
func (s *Setup) Fill(ctx context.Context, addrs []string) error {
	w := bench.DefaultWorkload
	w.Keys, w.KeyBytes, w.ValueBytes = s.Keys(), keyBytes, s.ValueBytes
	return bench.Fill(ctx, bench.Target{Name: "raftcached", Addrs: addrs}, w)
}

// Load returns the load on servers.
func (s *Setup) Load(addrs []string) *Load {
	return &Load{Addrs: addrs, Rate: s.Rate, Conns: s.Conns, Keys: s.Keys(), KeyBytes: keyBytes, ValueBytes: s.ValueBytes}
}

// Sleep waits for d, or returns the error of ctx when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
