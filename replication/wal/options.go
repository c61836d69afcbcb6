package wal

import (
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// MinSegmentBytes is the size of the first segments of a log. Later ones are as large
// as the log is, up to Options.SegmentBytes: a log of little takes little room, and is
// read fast.
const MinSegmentBytes = 4 << 20

// The defaults of Options.
const (
	DefaultSegmentBytes   = 64 << 20
	DefaultMemoryBytesMax = 8 << 20
)

// Options of a Log; a zero field takes its default.
type Options struct {
	// Bootstrap is the configuration of a new log.
	Bootstrap *pb.ConfState

	// First is the sequence number of the first segment of a new log; 0: 1.
	First uint64

	// Salvage, if set, has Open change nothing, and bear damage. The log can only be
	// read and closed.
	Salvage *Salvage

	// SegmentBytes is the size beyond which no more is written to a segment. The first
	// ones are smaller.
	SegmentBytes int64

	// MemoryBytesMax bounds the recent entries that are kept in memory. Older
	// entries are read from their segments.
	MemoryBytesMax int64

	// Owner is written to each segment. Open returns a *ForeignError if one has another
	// owner, or a later start. Segments up to Unowned may be of a version that names none.
	Owner   Owner
	Unowned uint64

	// Earlier is the incarnations of the starts before Owner.Boot, as far as they are
	// known. The last one is that of the start before.
	Earlier []uint64

	// Floor is what the log must have. Open returns a *LostError if it has less.
	Floor Floor

	// KeepFloor, if set, keeps a floor for the next Open: before it returns if within is
	// 0, otherwise it begins to within that time. It is called after each sync. A floor replaces the one before, and may be lower. It is called
	// by the goroutine that calls Open, Save, Compact and Close.
	KeepFloor func(f Floor, within time.Duration) error

	// Background lets the log prepare and remove segments on its own goroutines.
	// Without it Save and Compact do everything themselves, as simulations need.
	Background bool

	// Progress, if set, is called while Open reads the segments, with the bytes that
	// were read and those that there are.
	Progress func(done, total int64)
}
