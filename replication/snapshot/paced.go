package snapshot

import (
	"time"

	"raftcached/replication/disk"
)

const (
	// writeBackBytes is how much of a file is written before the disk is to take
	// it. The log is on the same disk, and each of its syncs waits for what has
	// piled up there: a whole snapshot takes a second.
	writeBackBytes = 512 << 10

	// restRatio is for how many times as long as the disk took it is then left to
	// the log.
	restRatio = 8
)

// paced writes a file at a pace that leaves the disk to the log most of the time.
type paced struct {
	disk.File
	at   int64 // bytes written
	back int64 // those that the disk has taken
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
	time.Sleep(restRatio * time.Since(start))
	return n, err
}
