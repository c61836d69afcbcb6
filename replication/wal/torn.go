package wal

import "bytes"

// tornAt reports whether the bad record at end, in the last segment, is a torn
// write: one of its sectors was never written, and no later record was written
// after this offset was synced. The sectors of one write reach the disk in any
// order.
func tornAt(b []byte, end int, seq uint64) bool {
	for at := findRecord(b, end+1, seq); at >= 0; {
		rec, _ := readRecord(b[at:], seq, int64(at))
		if rec.synced > int64(end) {
			return false
		}
		at = findRecord(b, at+recordHeaderBytes+len(rec.payload), seq)
	}
	extent := end + recordHeaderBytes
	if length, ok := readRecordHeader(b[end:], seq, int64(end)); ok {
		extent += length
	}
	if extent > len(b) {
		return true
	}
	for at := end; at < extent; at += sectorBytes - at%sectorBytes {
		part := b[at:min(extent, at+sectorBytes-at%sectorBytes)]
		if len(bytes.TrimRight(part, "\x00")) == 0 {
			return true
		}
	}
	return false
}

// findRecord returns the offset of the first valid record at or after from, or -1.
func findRecord(b []byte, from int, seq uint64) int {
	for at := from; at+recordHeaderBytes <= len(b); at++ {
		if b[at] == 0 { // skip zeros quickly: a record's kind is not 0
			next := bytes.IndexFunc(b[at:], func(c rune) bool { return c != 0 })
			if next < 0 {
				return -1
			}
			at = max(at, at+next-4)
		}
		if _, ok := readRecord(b[at:], seq, int64(at)); ok {
			return at
		}
	}
	return -1
}
