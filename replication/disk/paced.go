package disk

import "time"

const (
	// writeBackBytes is how much is written to a file before it is written back to
	// the disk. If a log is on the same disk, each of its syncs waits for all pending
	// writes; a whole snapshot would take a second.
	writeBackBytes = 512 << 10

	// restRatio is the pause after a write-back, as a multiple of the time that the
	// write-back took.
	restRatio = 8
)

// Paced writes a file slowly enough to leave the disk to others most of the time. One
// goroutine may use it.
type Paced struct {
	File
	Hurry bool // write without regard to others

	at   int64 // bytes written
	back int64 // bytes written back to the disk
}

// Write implements io.Writer.
func (p *Paced) Write(b []byte) (int, error) {
	n, err := p.File.Write(b)
	p.at += int64(n)
	if err != nil || p.at-p.back < writeBackBytes {
		return n, err
	}
	start := time.Now()
	err = p.WriteBack(p.back, p.at-p.back)
	p.back = p.at
	if !p.Hurry {
		time.Sleep(restRatio * time.Since(start))
	}
	return n, err
}
