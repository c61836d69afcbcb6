package wal

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash/crc32"
)

// Owner is who writes a segment: a data folder, in one of its starts. A segment that
// was written by another folder, or in a start that this folder has not had, came from
// somewhere else.
type Owner struct {
	Directory   [16]byte // the folder's directory id
	Boot        uint64   // the number of its start, which grows; 0: unknown
	Incarnation uint64   // the random number of that start; 0: unknown
}

// ForeignError reports that a segment is sound, but not of this data folder: it was put
// there. Nothing in the folder can be relied on.
type ForeignError struct {
	File   string
	Reason string
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("log segment %q does not belong to this data folder: %s", e.File, e.Reason)
}

// The versions of a segment. One of version 1 has no owner.
const (
	segmentMagic1      = "rcwal\x00\x00\x01"
	segmentMagic       = "rcwal\x00\x00\x02"
	segmentHeaderBytes = 8 + 8 + 8 + ownerBytes + 4
	ownerBytes         = 16 + 8 + 8
)

// segmentHeader is the beginning of a segment.
type segmentHeader struct {
	seq    uint64
	before int64 // size of the segment before this one; 0: there was none
	owner  Owner
	owned  bool // false: version 1, owner is unknown
}

// appendSegmentHeader appends a header of the present version.
func appendSegmentHeader(dst []byte, h *segmentHeader) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, h.seq)
	dst = binary.LittleEndian.AppendUint64(dst, uint64(h.before))
	dst = append(dst, h.owner.Directory[:]...)
	dst = binary.LittleEndian.AppendUint64(dst, h.owner.Boot)
	dst = binary.LittleEndian.AppendUint64(dst, h.owner.Incarnation)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// readSegmentHeader returns the header that b begins with, and its length, or ok = false
// if it is not that of a segment.
func readSegmentHeader(b []byte) (h segmentHeader, length int, ok bool) {
	if len(b) < len(segmentMagic) {
		return h, 0, false
	}
	switch string(b[:len(segmentMagic)]) {
	case segmentMagic:
		h.owned, length = true, segmentHeaderBytes
	case segmentMagic1:
		length = segmentHeaderBytes - ownerBytes
	default:
		return h, 0, false
	}
	if len(b) < length || crc32.Checksum(b[:length-4], castagnoli) != binary.LittleEndian.Uint32(b[length-4:]) {
		return h, 0, false
	}
	h.seq = binary.LittleEndian.Uint64(b[8:])
	h.before = int64(binary.LittleEndian.Uint64(b[16:]))
	if h.owned {
		copy(h.owner.Directory[:], b[24:])
		h.owner.Boot = binary.LittleEndian.Uint64(b[24+16:])
		h.owner.Incarnation = binary.LittleEndian.Uint64(b[24+16+8:])
	}
	return h, length, true
}

// checkOwner returns a *ForeignError if the folder o.Owner cannot have written the segment.
func (o *Options) checkOwner(name string, h *segmentHeader) error {
	switch {
	case !h.owned && h.seq > o.Unowned:
		return &ForeignError{name, "it is of an older version than the segments that were there"}
	case !h.owned:
		return nil
	case h.owner.Directory != o.Owner.Directory:
		return &ForeignError{name, fmt.Sprintf("data folder %s has written it, and this is %s",
			hex.EncodeToString(h.owner.Directory[:]), hex.EncodeToString(o.Owner.Directory[:]))}
	case !o.had(&h.owner):
		return &ForeignError{name, fmt.Sprintf("it was written in a start %d that this folder, in start %d, has not had: the identity is older than the log, or a copy of another time",
			h.owner.Boot, o.Owner.Boot)}
	default:
		return nil
	}
}

// had reports whether the folder may have had the owner's start before the present one.
func (o *Options) had(owner *Owner) bool {
	if o.Owner.Boot == 0 {
		return true
	}
	if owner.Boot >= o.Owner.Boot {
		return false
	}
	back := o.Owner.Boot - owner.Boot // so many starts ago
	if owner.Incarnation == 0 || back > uint64(len(o.Earlier)) {
		return true
	}
	return o.Earlier[uint64(len(o.Earlier))-back] == owner.Incarnation
}
