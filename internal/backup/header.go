package backup

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"raftcached/engine"
)

// Version is the version of the format.
const Version = 1

// ErrDamaged reports that a file is no whole backup.
var ErrDamaged = errors.New("the backup is damaged")

var errShort = fmt.Errorf("it ends early: %w", ErrDamaged)

// Header says what a backup holds. Fields may be added to a version.
type Header struct {
	Cluster string `json:"cluster"` // 16 hexadecimal digits
	Server  int    `json:"server"`  // id of the server that wrote it
	Program string `json:"program"` // its version

	Index uint64    `json:"index"` // of the log, up to which it holds everything
	Term  uint64    `json:"term"`
	Time  time.Time `json:"time"` // by the clocks of the servers

	Items            int64  `json:"items"`
	Bytes            int64  `json:"bytes"`  // that they count towards the memory limit
	Digest           string `json:"digest"` // of the items, whatever their order: 16 hexadecimal digits
	MemoryLimitBytes int64  `json:"memoryLimitBytes"`
	ItemBytesMax     int    `json:"itemBytesMax"`
}

// fill completes the header with what an image says of itself.
func (h *Header) fill(i engine.ImageHead) {
	h.Time = time.UnixMilli(i.TimeMs - i.OffsetMs).UTC()
	h.Items, h.Bytes, h.Digest = i.Items, i.Bytes, Digest(i.Sum)
	h.MemoryLimitBytes, h.ItemBytesMax = i.MemoryBytes, i.ItemBytesMax
}

// Digest is a digest of items as people compare it.
func Digest(sum uint64) string { return fmt.Sprintf("%016x", sum) }

func readHeader(text []byte) (h Header, err error) {
	if err := json.Unmarshal(text, &h); err != nil {
		return h, fmt.Errorf("its header is none (%w): %w", err, ErrDamaged)
	}
	return h, nil
}
