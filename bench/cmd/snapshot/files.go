//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"raftcached/internal/cluster"
)

// unfinished is the pattern of snapshots that are being written.
const unfinished = "*.tmp"

// beingWritten reports whether the folder holds an unfinished snapshot.
func beingWritten(folder string) bool {
	names, err := filepath.Glob(filepath.Join(folder, unfinished))
	return err == nil && len(names) > 0
}

func awaitNoSnapshot(ctx context.Context, folder string) error {
	quiet := 0
	return cluster.Await(ctx, func() error {
		if quiet++; beingWritten(folder) {
			quiet = 0
		}
		if quiet < 50 {
			return errors.New("a snapshot is being written")
		}
		return nil
	})
}

// newestFile returns the snapshot of the highest index, and its size.
func newestFile(folder string) (name string, size int64, err error) {
	entries, err := os.ReadDir(folder) // sorted by name, which begins with the index
	if err != nil {
		return "", 0, err
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".snap") {
			name = filepath.Join(folder, e.Name())
		}
	}
	if name == "" {
		return "", 0, fmt.Errorf("no snapshot in %s", folder)
	}
	info, err := os.Stat(name)
	if err != nil {
		return "", 0, err
	}
	return name, info.Size(), nil
}

func folderBytes(folder string) (n int64, err error) {
	err = filepath.WalkDir(folder, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			n += info.Size()
		}
		return err
	})
	return n, err
}

// forgetFiles drops the folder's files from the page cache.
func forgetFiles(folder string) error {
	return filepath.WalkDir(folder, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = errors.Join(f.Sync(), unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		return errors.Join(err, f.Close())
	})
}

func readAll(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, f, make([]byte, 1<<20))
	return errors.Join(err, f.Close())
}
