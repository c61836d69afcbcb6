package wal

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

const (
	segmentMagic       = "rcwal\x00\x00\x01"
	segmentHeaderBytes = 8 + 8 + 4
	recordHeaderBytes  = 4 + 1 + 4 + 4

	// payloadBytesMax bounds a record: an entry of the largest item.
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

// CorruptError tells that synced data is damaged: the log has forgotten what
// this node acknowledged.
type CorruptError struct {
	File   string
	Offset int64
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log segment %q is damaged at byte %d: %s", e.File, e.Offset, e.Reason)
}

func appendSegmentHeader(dst []byte, seq uint64) []byte {
	start := len(dst)
	dst = append(dst, segmentMagic...)
	dst = binary.LittleEndian.AppendUint64(dst, seq)
	return binary.LittleEndian.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// checkSegmentHeader reports whether b begins with the header of segment seq.
func checkSegmentHeader(b []byte, seq uint64) bool {
	return len(b) >= segmentHeaderBytes && string(b[:segmentHeaderBytes]) == string(appendSegmentHeader(nil, seq))
}

// beginRecord appends room for a record's header; finishRecord fills it in when
// the payload stands behind it.
func beginRecord(dst []byte) []byte { return append(dst, make([]byte, recordHeaderBytes)...) }

// finishRecord completes the record that begins at start of b and will stand at
// offset of segment seq.
func finishRecord(b []byte, start int, kind recordKind, seq uint64, offset int64) {
	head, payload := b[start:start+recordHeaderBytes], b[start+recordHeaderBytes:]
	binary.LittleEndian.PutUint32(head, uint32(len(payload)))
	head[4] = byte(kind)
	binary.LittleEndian.PutUint32(head[9:], crc32.Checksum(payload, castagnoli))
	binary.LittleEndian.PutUint32(head[5:], headerSum(head, seq, offset))
}

func headerSum(head []byte, seq uint64, offset int64) uint32 {
	var b [25]byte
	copy(b[:5], head[:5])
	copy(b[5:9], head[9:13])
	binary.LittleEndian.PutUint64(b[9:], seq)
	binary.LittleEndian.PutUint64(b[17:], uint64(offset))
	return crc32.Checksum(b[:], castagnoli)
}

// readRecord returns the record at offset of segment seq, whose bytes from there
// on are b, or false if there is no valid one. The payload aliases b.
func readRecord(b []byte, seq uint64, offset int64) (kind recordKind, payload []byte, ok bool) {
	kind, length, sum, ok := readRecordHeader(b, seq, offset)
	if !ok || len(b) < recordHeaderBytes+length {
		return 0, nil, false
	}
	payload = b[recordHeaderBytes : recordHeaderBytes+length]
	return kind, payload, crc32.Checksum(payload, castagnoli) == sum
}

// readRecordHeader checks a record's header alone.
func readRecordHeader(b []byte, seq uint64, offset int64) (kind recordKind, length int, sum uint32, ok bool) {
	if len(b) < recordHeaderBytes {
		return 0, 0, 0, false
	}
	length = int(binary.LittleEndian.Uint32(b))
	kind = recordKind(b[4])
	if length > payloadBytesMax || kind == 0 || kind >= kindEnd ||
		binary.LittleEndian.Uint32(b[5:]) != headerSum(b, seq, offset) {
		return 0, 0, 0, false
	}
	return kind, length, binary.LittleEndian.Uint32(b[9:]), true
}
