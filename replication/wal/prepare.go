package wal

import (
	"errors"
	"time"

	"raftcached/replication/disk"
)

const (
	// zeroBytes of a segment are zeroed at a time.
	zeroBytes = 256 << 10

	// zeroRest is for how many times as long as that took the disk is then left to
	// others.
	zeroRest = 3
)

// preparer makes the next segment ready before it is needed: named, durable, and
// full of zeros. Then a sync of what is written to it has only bytes to bring to
// the disk, while one of blocks that are new to the file is a transaction of the
// file system's journal, which waits for all else that goes with it.
type preparer struct {
	fs    disk.FS
	dir   string
	bytes int64

	// Of the segment being made ready, nil between take and prepare.
	stop chan struct{}
	done chan prepared
}

// prepared is a segment's file. It need not be complete: then it has a name that
// may not be durable, and its room is not reserved.
type prepared struct {
	file     disk.File // nil: there is none
	complete bool
}

// prepare begins with the segment of a sequence.
func (p *preparer) prepare(seq uint64) {
	p.stop, p.done = make(chan struct{}), make(chan prepared, 1)
	go func(stop chan struct{}, done chan prepared) {
		done <- p.run(segmentName(p.dir, seq), stop)
	}(p.stop, p.done)
}

// take returns the segment that prepare began with, as far as it has come.
func (p *preparer) take() prepared {
	if p.done == nil {
		return prepared{}
	}
	close(p.stop)
	s := <-p.done
	p.stop, p.done = nil, nil
	return s
}

// run makes a segment ready. Its errors are none of the log's: the segment is made
// anew when it is needed, and then they matter.
func (p *preparer) run(name string, stop <-chan struct{}) prepared {
	f, err := p.fs.Create(name)
	if err != nil {
		return prepared{}
	}
	complete, err := p.fill(f, stop)
	if err != nil {
		_ = f.Close() // what its blocks hold is not known: they are let go
		return prepared{}
	}
	return prepared{f, complete}
}

// fill writes zeros until the segment is complete, or until stop is closed.
func (p *preparer) fill(f disk.File, stop <-chan struct{}) (complete bool, err error) {
	for at := int64(0); at < p.bytes; at += zeroBytes {
		start := time.Now()
		n := min(zeroBytes, p.bytes-at)
		if err := errors.Join(f.Zero(at, n), f.WriteBack(at, n)); err != nil {
			return false, err
		}
		select {
		case <-stop:
			return false, nil
		case <-time.After(zeroRest * time.Since(start)):
		}
	}
	return true, errors.Join(f.Sync(), p.fs.SyncDir(p.dir))
}

// close closes what was made ready. A later Open removes it.
func (p *preparer) close() error {
	if s := p.take(); s.file != nil {
		return s.file.Close()
	}
	return nil
}
