package replication

import (
	"fmt"
	"io"

	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
)

// LogEntry is what an entry of the raft log holds, for who looks into a log.
type LogEntry struct {
	StampMs    int64 // 0: the entry has none
	Hints      int   // read hints
	SubBatches []SubBatch
	Change     *MemberChange // nil: it does not change the members
	Leaves     bool          // it leaves a joint configuration
}

// DecodeEntry decodes an entry. The operations alias its data.
func DecodeEntry(e *pb.Entry) (*LogEntry, error) {
	out := new(LogEntry)
	data := e.GetData()
	switch e.GetType() {
	case pb.EntryConfChangeV2:
		c, err := readChange(data)
		out.Change, out.Leaves = c, c == nil && err == nil
		return out, err
	case pb.EntryNormal:
	default:
		return nil, fmt.Errorf("entry has type %v, which this program does not know: use a newer one", e.GetType())
	}
	if len(data) == 0 { // a new leader's first entry
		return out, nil
	}
	r := frame.NewReader(data)
	h, err := entryHeader(&r)
	if err != nil {
		return nil, err
	}
	out.StampMs, out.Hints = h.stampMs, len(h.hints)/hintBytes
	for range h.subBatches {
		s, err := readSubBatch(&r)
		if err != nil {
			return out, err
		}
		out.SubBatches = append(out.SubBatches, s)
	}
	return out, nil
}

// SnapshotHead is what stands in a snapshot before the state machine's image.
type SnapshotHead struct {
	StampMs int64
	Rows    int         // exactly-once rows
	Members *Membership // nil: those that formed the cluster
}

// ReadSnapshotHead reads the head of a snapshot's contents.
func ReadSnapshotHead(r io.Reader) (SnapshotHead, error) {
	stampMs, table, members, err := readSnapshotHead(r)
	if err != nil {
		return SnapshotHead{}, err
	}
	return SnapshotHead{StampMs: stampMs, Rows: len(table.rows), Members: members}, nil
}
