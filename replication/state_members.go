package replication

import (
	"errors"

	pb "go.etcd.io/raft/v3/raftpb"
)

// applyChange applies an entry that changes the members, or refuses it, as every
// node does at this index. raft is told by the report. A program that does not know the
// cluster version that it makes must not go on.
func (st *state) applyChange(e *pb.Entry, out *Batch) error {
	next, change, err := st.members.apply(e, st.bugs)
	if err == nil {
		err = next.checkKnown(st.known)
	}
	if err != nil {
		return err
	}
	st.members = next
	st.table.keep(func(origin uint64) bool { return next.at(origin) >= 0 })
	st.tell(change, out)
	return nil
}

// tell reports a change of the members, unless it was told already: before the
// state that it is part of was replaced.
func (st *state) tell(change *AppliedChange, out *Batch) {
	if change.Index <= st.told {
		return
	}
	st.told = change.Index
	out.Report.Changes = append(out.Report.Changes, *change)
	out.Report.Members = change.Members
}

// apply returns the membership after an entry of type EntryConfChangeV2.
func (m *Membership) apply(e *pb.Entry, bugs bugs) (*Membership, *AppliedChange, error) {
	c, err := readChange(e.GetData())
	if errors.Is(err, ErrLater) {
		return nil, nil, err
	}
	change := &AppliedChange{Index: e.GetIndex(), Members: m}
	var next *Membership
	if err != nil {
		// It changes nothing, on any node.
	} else if c == nil {
		next, change.Conf, err = m.leave()
	} else {
		change.ID = c.ID
		next, change.Conf, err = m.plan(c)
	}
	if err != nil {
		change.Refused, change.Conf = err, nil
		return m, change, nil
	}
	if bugs.has(bugRaftIDReused) && c != nil && c.Kind == ChangeRemove {
		next.NextRaftID = 0
		for i := range next.Members {
			next.NextRaftID = max(next.NextRaftID, next.Members[i].RaftID+1)
		}
	}
	change.Members = next
	return next, change, nil
}
