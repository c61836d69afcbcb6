package offline

import (
	"strings"

	"raftcached/replication/disk"
)

// stagedSuffix marks files that a server would remove at its start.
const stagedSuffix = ".tmp"

// staged is a file system in which every file has another name than it says, so that a
// log and snapshots can be written beside those that are there. It shows no others.
type staged struct{ disk.FS }

func (s staged) Create(name string) (disk.File, error) { return s.FS.Create(name + stagedSuffix) }

func (s staged) Open(name string) (disk.File, error) { return s.FS.Open(name + stagedSuffix) }

func (s staged) OpenDirect(name string) (disk.File, error) {
	return s.FS.OpenDirect(name + stagedSuffix)
}

func (s staged) Rename(from, to string) error {
	return s.FS.Rename(from+stagedSuffix, to+stagedSuffix)
}

func (s staged) Remove(name string) error { return s.FS.Remove(name + stagedSuffix) }

func (s staged) List(dir string) ([]string, error) {
	names, err := s.FS.List(dir)
	var shown []string
	for _, name := range names {
		if name, ok := strings.CutSuffix(name, stagedSuffix); ok {
			shown = append(shown, name)
		}
	}
	return shown, err
}
