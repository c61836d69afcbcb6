package identity

import (
	"errors"
	"fmt"
	"path/filepath"

	"raftcached/replication/disk"
)

const (
	// spareName is a file beside the identity that only holds room on the disk.
	spareName = fileName + ".spare"

	// spareStep is what the size of the spare is a multiple of. It has this much more than
	// the identity needs, which grows with the starts and the members.
	spareStep = 4096
)

// write durably replaces the identity file by b. Each start must write it before it says
// anything, and a server whose disk is full must be able to start. So room is kept for it:
// if there is none elsewhere, b is written into the spare, which becomes the identity.
// The caller holds saving.
func (id *Identity) write(b []byte) error {
	err := disk.WriteFileAtomic(id.fs, id.name(), b)
	if disk.IsFull(err) {
		id.spareBytes = 0
		if id.fillSpare(b) == nil {
			err = disk.Publish(id.fs, id.spare(), id.name())
		}
	}
	if err == nil && int64(len(b)) > id.spareBytes {
		id.makeSpare(int64(len(b)))
	}
	return err
}

func (id *Identity) spare() string { return filepath.Join(id.dir, spareName) }

// fillSpare writes b into the spare, which has room for it already.
func (id *Identity) fillSpare(b []byte) error {
	f, err := id.fs.Edit(id.spare())
	if err != nil {
		return err
	}
	size, err := f.Size()
	if err == nil && size < int64(len(b)) {
		err = fmt.Errorf("%q has %d bytes, %d are needed", id.spare(), size, len(b))
	}
	if err == nil {
		_, err = f.Write(b)
	}
	if err == nil {
		err = f.Truncate(int64(len(b)))
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// makeSpare makes a spare for an identity of the given size, unless there is one. After a
// use the old identity and what the spare had too much give back what it needs. It is
// not synced: without it only a start on a full disk fails, and the next save that finds
// none makes another one. So there is no error either.
func (id *Identity) makeSpare(need int64) {
	if f, err := id.fs.Open(id.spare()); err == nil {
		size, err := f.Size()
		if errors.Join(err, f.Close()) == nil && size >= need {
			id.spareBytes = size
			return
		}
	}
	f, err := id.fs.Create(id.spare())
	if err != nil {
		return
	}
	size := (need/spareStep + 2) * spareStep
	if err := errors.Join(f.Preallocate(size), f.Close()); err != nil {
		_ = id.fs.Remove(id.spare()) // it holds less than it should
		return
	}
	id.spareBytes = size
}
