package wal

import (
	"errors"
	"time"

	"raftcached/replication/disk"
)

const (
	// zeroBytes is how much of a segment is filled with zeros at a time.
	zeroBytes = 256 << 10

	// zeroRest is the pause between two such writes, as a multiple of the time that
	// the last one took. It leaves the disk to the log most of the time.
	zeroRest = 3
)

// preparer creates the next segment before it is needed, fills it with zeros, and
// makes it durable. A later sync then only has to write data. A sync of newly
// allocated blocks would need a transaction of the file system's journal as well,
// and would wait for everything else in that transaction.
type preparer struct {
	fs    disk.FS
	dir   string
	bytes int64 // of the next segment

	// Of the segment that is being prepared; nil between take and prepare.
	stop chan struct{}
	done chan prepared
}

// prepared is a segment's file. If it is not complete, its name may not be durable
// and its space is not reserved.
type prepared struct {
	file     disk.File // nil if there is none
	complete bool
}

// prepare starts to prepare the segment with the given sequence number.
func (p *preparer) prepare(seq uint64) {
	p.stop, p.done = make(chan struct{}), make(chan prepared, 1)
	go func(stop chan struct{}, done chan prepared) {
		done <- p.run(segmentName(p.dir, seq), stop)
	}(p.stop, p.done)
}

// take stops the preparation and returns the segment as far as it was prepared.
func (p *preparer) take() prepared {
	if p.done == nil {
		return prepared{}
	}
	close(p.stop)
	s := <-p.done
	p.stop, p.done = nil, nil
	return s
}

// run prepares a segment. It returns no error: if preparing fails, the segment is
// created again when it is needed, and an error is reported then.
func (p *preparer) run(name string, stop <-chan struct{}) prepared {
	f, err := p.fs.Create(name)
	if err != nil {
		return prepared{}
	}
	complete, err := p.fill(f, stop)
	if err != nil {
		_ = errors.Join(f.Close(), p.fs.Remove(name)) // the contents of its blocks are unknown, so it is not used
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

// close closes the prepared segment. The next Open removes it.
func (p *preparer) close() error {
	if s := p.take(); s.file != nil {
		return s.file.Close()
	}
	return nil
}
