package wal

import (
	"fmt"
	"math"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
)

// entryHead is what the index holds about an entry.
type entryHead struct {
	index, term uint64
	kind        pb.EntryType
}

// The fields of raft's Entry, see raft.proto.
const (
	fieldType  = 1
	fieldTerm  = 2
	fieldIndex = 3
)

// readEntryHead reads the head of an encoded raft entry, and checks that the rest is
// well-formed.
func readEntryHead(b []byte) (e entryHead, err error) {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return e, protowire.ParseError(n)
		}
		b = b[n:]
		if n = protowire.ConsumeFieldValue(field, kind, b); n < 0 {
			return e, protowire.ParseError(n)
		}
		if kind == protowire.VarintType {
			switch v, _ := protowire.ConsumeVarint(b); field {
			case fieldType:
				e.kind = pb.EntryType(v)
			case fieldTerm:
				e.term = v
			case fieldIndex:
				e.index = v
			}
		}
		b = b[n:]
	}
	if e.index == 0 || e.index == math.MaxUint64 {
		return e, fmt.Errorf("index is %d", e.index)
	}
	return e, nil
}
