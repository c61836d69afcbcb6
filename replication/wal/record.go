package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	recordHeaderBytes = 4 + 1 + 4 + 4 + 4

	// sectorBytes is what a disk writes as a whole or not at all.
	sectorBytes = 512

	// payloadBytesMax bounds a record. An entry with the largest item fits.
	payloadBytesMax = 32 << 20
)

type recordKind uint8

const (
	kindHardState recordKind = iota + 1
	kindEntry
	kindCompacted
	kindRestart
	kindEnd
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// CorruptError reports that synced data is damaged: the log has lost something that
// this node acknowledged.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log segment %q is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
}

// record is one record as it is read.
type record struct {
	kind    recordKind
	payload []byte // aliases what was read
	synced  int64  // how much of the segment was synced before this was written
}

// beginRecord appends space for a record's header. finishRecord fills it in once the
// payload follows it.
func beginRecord(dst []byte) []byte { return append(dst, make([]byte, recordHeaderBytes)...) }

// finishRecord completes the record b, which will be written at an offset of
// segment seq. The first synced bytes of that segment are synced.
func finishRecord(b []byte, kind recordKind, seq uint64, offset, synced int64) {
	payload := b[recordHeaderBytes:]
	binary.LittleEndian.PutUint32(b, uint32(len(payload)))
	b[4] = byte(kind)
	binary.LittleEndian.PutUint32(b[9:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(b[13:], uint32(synced))
	binary.LittleEndian.PutUint32(b[5:], headerSum(b, seq, offset))
}

// headerSum is the checksum of the header, except for the checksum itself, and of
// the record's position.
func headerSum(head []byte, seq uint64, offset int64) uint32 {
	var b [recordHeaderBytes - 4 + 16]byte
	n := copy(b[:], head[:5])
	n += copy(b[n:], head[9:recordHeaderBytes])
	binary.LittleEndian.PutUint64(b[n:], seq)
	binary.LittleEndian.PutUint64(b[n+8:], uint64(offset))
	return crc32.Checksum(b[:], castagnoli)
}

// readRecord returns the record at an offset of segment seq, or false if it is not
// valid. b are the bytes of the segment from there on.
func readRecord(b []byte, seq uint64, offset int64) (r record, ok bool) {
	length, ok := readRecordHeader(b, seq, offset)
	if !ok || len(b) < recordHeaderBytes+length {
		return r, false
	}
	r = record{
		kind:    recordKind(b[4]),
		payload: b[recordHeaderBytes : recordHeaderBytes+length],
		synced:  int64(binary.LittleEndian.Uint32(b[13:])),
	}
	return r, crc32.Checksum(r.payload, castagnoli) == binary.LittleEndian.Uint32(b[9:])
}

// readRecordHeader checks only a record's header and returns the length of the
// payload.
func readRecordHeader(b []byte, seq uint64, offset int64) (length int, ok bool) {
	if len(b) < recordHeaderBytes {
		return 0, false
	}
	length = int(binary.LittleEndian.Uint32(b))
	kind := recordKind(b[4])
	return length, length <= payloadBytesMax && kind != 0 && kind < kindEnd &&
		binary.LittleEndian.Uint32(b[5:]) == headerSum(b, seq, offset)
}
