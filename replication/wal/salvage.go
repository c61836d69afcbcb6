package wal

import (
	"errors"
	iofs "io/fs"
)

// Salvage is how a log is read that may be damaged: as far as its entries follow each
// other, or a snapshot. It is for a log whose server does not run and never will again.
type Salvage struct {
	// Base is the index of the snapshot that the caller has. Entries up to it are not
	// missed.
	Base uint64

	// Damaged is called with each *CorruptError and *LostError, which Open would return
	// otherwise.
	Damaged func(err error)

	// Seen is set by Open to the highest index of an entry that was readable, whether or
	// not it follows what is before it.
	Seen uint64
}

// errSalvaged is the cause of every failure to write to a log that is only read.
var errSalvaged = errors.New("log was opened for reading")

// covers reports whether the snapshot has everything up to an index. There is none
// without a Salvage.
func (s *Salvage) covers(index uint64) bool { return s != nil && index <= s.Base }

// salvage reads the log as it is.
func (l *Log) salvage() error {
	l.failed = errSalvaged
	seqs, err := l.list()
	if err != nil && !errors.Is(err, iofs.ErrNotExist) {
		return err
	}
	if seqs, err = l.dropBlank(seqs); err != nil {
		return err
	}
	if len(seqs) > 0 {
		if err := l.recover(seqs); err != nil {
			return err
		}
	}
	return l.damaged(l.checkFloor(seqs))
}

// damaged decides whether reading goes on after an error: nil, or the error.
func (l *Log) damaged(err error) error {
	var (
		corrupt *CorruptError
		lost    *LostError
	)
	if s := l.options.Salvage; s != nil && (errors.As(err, &corrupt) || errors.As(err, &lost)) {
		s.Damaged(err)
		return nil
	}
	return err
}

// damaged is that of the log, and remembers that something is missing.
func (r *recovery) damaged(err error) error {
	if err == nil {
		return nil
	}
	r.suspect = true
	return r.log.damaged(err)
}

// follows reports whether an entry counts. After damage nobody knows what is missing:
// entries that replaced others, or the ones before this. It counts if it replaces an
// entry itself, is of the term of the last one, whose leader had that too (Raft §5.3,
// Log Matching), or if the snapshot has what is missing.
func (r *recovery) follows(e entryHead) bool {
	x, s := &r.log.index, r.log.options.Salvage
	s.Seen = max(s.Seen, e.index)
	if len(x.places) == 0 && (r.floating || e.index == x.base+1) {
		r.suspect = false
		return true
	}
	last := x.last()
	switch {
	case e.index <= last, e.index == last+1 && (!r.suspect || x.term(last) == e.term):
	case s.covers(e.index - 1):
		*x = newIndex(e.index-1, 0, r.log.options.MemoryBytesMax)
	default:
		return false
	}
	r.suspect = false
	return true
}

// keepAsIs opens a segment for reading, of which so much is valid.
func (r *recovery) keepAsIs(name string, seq uint64, valid int64) error {
	f, err := r.log.fs.Open(name)
	if err != nil {
		return err
	}
	r.log.segments = append(r.log.segments, &segment{seq: seq, file: f, size: valid})
	r.log.bytes += valid
	return nil
}

// LastSegment is the sequence number of the last segment, and 0 if there is none.
func (l *Log) LastSegment() uint64 {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if len(l.segments) == 0 {
		return 0
	}
	return l.segments[len(l.segments)-1].seq
}
