package snapshot

import (
	"time"

	"raftcached/replication/disk"
)

const (
	// writeBackBytes is how much is written to a file before it is written back to
	// the disk. The log is on the same disk, and each of its syncs waits for all
	// pending writes; a whole snapshot would take a second.
	writeBackBytes = 512 << 10

	// restRatio is the pause after a write-back, as a multiple of the time that the
	// write-back took.
	restRatio = 8
)

// paced writes a file slowly enough to leave the disk to the log most of the time.
type paced struct {
	disk.File
	at   int64 // bytes written
	back int64 // bytes written back to the disk

	hurry bool // the log waits
}

// Write implements io.Writer.
func (p *paced) Write(b []byte) (int, error) {
	n, err := p.File.Write(b)
	p.at += int64(n)
	if err != nil || p.at-p.back < writeBackBytes {
		return n, err
	}
	start := time.Now()
	err = p.WriteBack(p.back, p.at-p.back)
	p.back = p.at
	if !p.hurry {
		time.Sleep(restRatio * time.Since(start))
	}
	return n, err
}
