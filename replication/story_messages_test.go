package replication

import (
	"fmt"
	"strings"

	"raftcached/engine"
	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
)

// What nodes send each other, in the form of etcd raft's own stories. Nodes go by
// their number in the story, which is one less than their raft id.

// showMessage shows a raft message, but no heartbeats.
func (s *simulation) showMessage(m *pb.Message) {
	if s.show == nil || m.GetType() == pb.MsgHeartbeat || m.GetType() == pb.MsgHeartbeatResp {
		return
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%v %d->%d Term:%d Log:%d/%d", m.GetType(), m.GetFrom()-1, m.GetTo()-1, m.GetTerm(), m.GetLogTerm(), m.GetIndex())
	if m.GetReject() {
		fmt.Fprintf(&b, " Rejected (Hint: %d)", m.GetRejectHint())
	}
	if m.GetCommit() > 0 {
		fmt.Fprintf(&b, " Commit:%d", m.GetCommit())
	}
	if len(m.GetEntries()) > 0 {
		b.WriteString(" Entries:[")
		for i, e := range m.GetEntries() {
			if i > 0 {
				b.WriteString(", ")
			}
			if more := len(m.GetEntries()) - i; i == 2 && more > 1 {
				fmt.Fprintf(&b, "%d more", more)
				break
			}
			fmt.Fprintf(&b, "%d/%d%s", e.GetTerm(), e.GetIndex(), describeEntry(e))
		}
		b.WriteString("]")
	}
	s.show(b.String())
}

// describeEntry says what is in an entry; nothing in a new leader's first one.
func describeEntry(e *pb.Entry) string {
	if e.GetType() == pb.EntryConfChangeV2 {
		return describeChange(e.GetData())
	}
	if len(e.GetData()) == 0 {
		return ""
	}
	r := frame.NewReader(e.GetData())
	h, err := entryHeader(&r)
	if err != nil {
		return " " + err.Error()
	}
	text := describeSubBatches(&r, h.subBatches)
	if n := len(h.hints) / hintBytes; n > 0 {
		text += fmt.Sprintf(" and %d hints", n)
	}
	return text
}

// describeChange says how an entry changes the members.
func describeChange(data []byte) string {
	switch c, err := readChange(data); {
	case err != nil:
		return " " + err.Error()
	case c == nil:
		return " leave joint"
	default:
		return fmt.Sprintf(" %v server %d", c.Kind, c.ServerID)
	}
}

// describeSubBatches names each sub-batch by its origin and number, and tells
// its operations.
func describeSubBatches(r *frame.Reader, n int) (text string) {
	for range n {
		s, err := readSubBatch(r)
		switch {
		case err != nil:
			return text + " " + err.Error()
		case s.Origin == clusterOrigin:
			text += " " + string(s.Ops)
		default:
			text += fmt.Sprintf(" %d#%d", s.Origin-1, s.Seq)
			for rest := s.Ops; len(rest) > 0; {
				var op engine.Op
				if op, rest, err = engine.DecodeOp(rest); err != nil {
					return text + " " + err.Error()
				}
				text += " " + describeOp(&op)
			}
		}
	}
	return text
}

func describeOp(op *engine.Op) string {
	name := map[engine.OpKind]string{engine.OpAdd: "add", engine.OpAppend: "append", engine.OpSet: "set"}[op.Kind]
	if len(op.Value) > 20 {
		return fmt.Sprintf("%s %s (%d bytes)", name, op.Key, len(op.Value))
	}
	return fmt.Sprintf("%s %s %q", name, op.Key, strings.TrimSpace(string(op.Value)))
}

// showForward shows sub-batches on their way to a leader.
func (s *simulation) showForward(from *simNode, f Forward) {
	if s.show == nil {
		return
	}
	r := frame.NewReader(f.Payload)
	n, err := r.ArrayLen(subBatchesMax)
	from.must(err)
	s.show(fmt.Sprintf("Forward %d->%d [%s]", from.id, f.To-1, strings.TrimSpace(describeSubBatches(&r, n))))
}

// showSignal shows a signal, but no clocks.
func (s *simulation) showSignal(from *simNode, f Forward) {
	if s.show == nil {
		return
	}
	r := frame.NewReader(f.Payload)
	_, err := r.ArrayLen(signalFieldsMax)
	from.must(err)
	kind, err := r.Uint64()
	from.must(err)
	switch kind {
	case signalHints:
		hints, err := readHints(&r)
		from.must(err)
		s.show(fmt.Sprintf("Hints %d->%d %d", from.id, f.To-1, len(hints)/hintBytes))
	case signalLeaving:
		s.show(fmt.Sprintf("Leaving %d->%d", from.id, f.To-1))
	case signalDigest, signalRepair:
		index, err := r.Uint64()
		from.must(err)
		s.show(fmt.Sprintf("%s %d->%d Index:%d", map[uint64]string{signalDigest: "Digest", signalRepair: "WantRepair"}[kind], from.id, f.To-1, index))
	}
}

// showTransfer shows that a voter is asked to take over.
func (s *simulation) showTransfer(from *simNode, t *Transfer) {
	if s.show == nil {
		return
	}
	why := "about to stop"
	if t.Stalled > 0 {
		why = fmt.Sprintf("no answer of the disk for %v", t.Stalled)
	}
	s.show(fmt.Sprintf("Transfer %d->%d (%s)", from.id, t.To-1, why))
}

// showShip shows a snapshot on its way.
func (s *simulation) showShip(from *simNode, ship *Ship) {
	if s.show == nil {
		return
	}
	kind := "Repair"
	if ship.Raft {
		kind = pb.MsgSnap.String()
	}
	s.show(fmt.Sprintf("%s %d->%d Snapshot:%d/%d", kind, from.id, ship.To-1, ship.Meta.GetTerm(), ship.Meta.GetIndex()))
}
