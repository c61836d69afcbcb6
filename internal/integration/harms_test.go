package integration

import (
	"os"
	"path/filepath"
	"testing"
)

// victim is a server that was killed, with what its folder is harmed with.
type victim struct {
	t             *testing.T
	dir           string
	older, other  string // copies of its folder some time ago, and of another server's
	foreign       string // the folder of a server of another cluster
	first, newest string // the log's segments
}

// take replaces files or folders of the victim by those of another folder.
func (v *victim) take(from string, names ...string) {
	v.t.Helper()
	for _, name := range names {
		to := filepath.Join(v.dir, name)
		must(v.t, os.RemoveAll(to))
		if info, err := os.Stat(filepath.Join(from, name)); err == nil && info.IsDir() {
			must(v.t, os.CopyFS(to, os.DirFS(filepath.Join(from, name))))
			continue
		}
		b, err := os.ReadFile(filepath.Join(from, name))
		must(v.t, err)
		must(v.t, os.WriteFile(to, b, 0o600))
	}
}

// takeSegment replaces the first segment by that of another folder.
func (v *victim) takeSegment(from string) {
	v.t.Helper()
	names, err := filepath.Glob(filepath.Join(from, "wal", "*.wal"))
	must(v.t, err)
	b, err := os.ReadFile(names[0])
	must(v.t, err)
	must(v.t, os.WriteFile(filepath.Join(v.dir, v.first), b, 0o600))
}

func (v *victim) remove(names ...string) {
	v.t.Helper()
	for _, name := range names {
		must(v.t, os.RemoveAll(filepath.Join(v.dir, name)))
	}
}

// glob returns the name of the last file that matches, relative to dir.
func (v *victim) glob(dir, pattern string) string {
	v.t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, pattern))
	must(v.t, err)
	if len(names) == 0 {
		v.t.Fatalf("no %s in %s", pattern, dir)
	}
	name, err := filepath.Rel(dir, names[len(names)-1])
	must(v.t, err)
	return name
}

// harms is every way in which a folder was harmed, and what its server then says.
var harms = []struct {
	name string
	harm func(v *victim)
	want string
}{
	{"log removed", func(v *victim) { v.remove("wal") }, "all of its segments are missing"},
	{"folder wiped", func(v *victim) { v.remove("") }, "the data folder of server"},
	{"byte flipped", func(v *victim) { flipByte(v.t, filepath.Join(v.dir, v.first)) }, "is damaged at byte"},
	{"identity removed", func(v *victim) { v.remove("identity") }, "nobody knows whose log it is"},
	{"identity damaged", func(v *victim) { flipByte(v.t, filepath.Join(v.dir, "identity")) }, "it is damaged"},
	{"identity of another cluster", func(v *victim) { v.take(v.foreign, "identity") }, "does not belong to this data folder: data folder"},
	{"older identity", func(v *victim) { v.take(v.older, "identity") }, "has not had: the identity is older than the log"},
	{"log of another server", func(v *victim) { v.take(v.other, "wal") }, "does not belong to this data folder: data folder"},
	{"log of another cluster", func(v *victim) { v.take(v.foreign, "wal") }, "does not belong to this data folder: data folder"},
	{"older log", func(v *victim) { v.take(v.older, "wal") }, "there was a segment"},
	{"all older", func(v *victim) { v.take(v.older, "identity", "wal", "snap") }, "is a copy"},
	{"one segment of another server", func(v *victim) { v.takeSegment(v.other) }, "does not belong to this data folder: data folder"},
	{"one segment of another cluster", func(v *victim) { v.takeSegment(v.foreign) }, "does not belong to this data folder: data folder"},
	{"segment removed", func(v *victim) { v.remove(v.first) }, "are missing"},
	{"last segment removed", func(v *victim) {
		v.remove(v.newest)
		if next := v.glob(v.dir, "wal/*.wal"); next > v.newest { // it was prepared
			v.remove(next)
		}
	}, "there was a segment"},
	{"segment cut", func(v *victim) { must(v.t, os.Truncate(filepath.Join(v.dir, v.first), 1000)) }, "is damaged at byte"},
	{"segment zeroed", func(v *victim) {
		must(v.t, os.WriteFile(filepath.Join(v.dir, v.first), make([]byte, 4<<20), 0o600))
	}, "the header is not that of a segment"},
	{"segment duplicated", func(v *victim) {
		b, err := os.ReadFile(filepath.Join(v.dir, v.first))
		must(v.t, err)
		must(v.t, os.WriteFile(filepath.Join(v.dir, v.newest), b, 0o600))
	}, "under another name"},
	{"snapshots removed", func(v *victim) { v.remove("snap") }, "no usable snapshot"},
	{"snapshots of another server", func(v *victim) { v.take(v.other, "snap") }, "does not belong to this data folder: data folder"},
	{"snapshots of another cluster", func(v *victim) { v.take(v.foreign, "snap") }, "does not belong to this data folder: data folder"},
	{"one more snapshot, of another cluster", func(v *victim) {
		v.take(v.foreign, v.glob(v.foreign, "snap/*.snap"))
	}, "does not belong to this data folder: data folder"},
	{"snapshots damaged", func(v *victim) {
		names, err := filepath.Glob(filepath.Join(v.dir, "snap", "*.snap"))
		must(v.t, err)
		for _, name := range names {
			flipByte(v.t, name)
		}
	}, "no usable snapshot"},
}
