package offline

import (
	"fmt"
	"io"
	"strconv"
	"strings"

	"raftcached/replication"
)

// dumpTime is how times are written, in UTC.
const dumpTime = "2006-01-02 15:04:05.000"

// WriteText writes a record for people, in one line or more.
func (r *Record) WriteText(w io.Writer) (err error) {
	line := func(format string, args ...any) {
		if err == nil {
			_, err = fmt.Fprintf(w, format+"\n", args...)
		}
	}
	switch {
	case r.Identity != nil:
		writeIdentity(line, r.Identity)
	case r.Snapshot != nil:
		writeSnapshot(line, r)
	case r.Segment != nil:
		owner := "written by an older version"
		if r.Segment.DirectoryID != "" {
			owner = fmt.Sprintf("written by folder %s in start %d", r.Segment.DirectoryID, r.Segment.Boot)
		}
		line("%s: segment %d, %d bytes, %s", r.File, r.Segment.Sequence, r.Segment.Bytes, owner)
	case r.State != nil:
		line("%8d  state: term %d, vote %d, commit %d", r.Offset, r.State.Term, r.State.Vote, r.State.Commit)
	case r.Mark != nil:
		what := "mark"
		if r.Mark.Restart {
			what = "restart"
		}
		line("%8d  %s: the log begins after entry %d of term %d, voters %v", r.Offset, what, r.Mark.Index, r.Mark.Term, r.Mark.Voters)
	case r.Entry != nil:
		writeEntry(line, r)
	case r.Kind == KindNote:
		line("%8d  note: %s: %s", r.Offset, r.File, r.Text)
	default:
		line("%8d  DAMAGE: %s: %s", r.Offset, r.File, r.Text)
	}
	return err
}

func writeSnapshot(line func(string, ...any), r *Record) {
	s := r.Snapshot
	line("%s: entry %d, term %d, %s, %d bytes, %d exactly-once rows", r.File, s.Index, s.Term, s.Time.Format(dumpTime), s.Bytes, s.Rows)
	if s.Members == nil {
		return
	}
	line("  members after %d changes, cluster version %d:", s.Members.Version, s.Members.ClusterVersion())
	for i := range s.Members.Members {
		m := &s.Members.Members[i]
		line("    %s%s", memberText(m.ServerID, m.RaftID, m.Directory, m.Host, m.ClientPort, m.LogPort), roleText(m.Learner, m.Stays, m.Retired))
	}
}

func memberText(id int, raftID uint64, folder fmt.Stringer, host string, clientPort, logPort int) string {
	return fmt.Sprintf("server %d, raft id %d, folder %v, %s, ports %d and %d", id, raftID, folder, host, clientPort, logPort)
}

func writeIdentity(line func(string, ...any), id *IdentityRecord) {
	line("identity: server %d, folder %v, start %d", id.ServerID, id.DirectoryID, id.Boot)
	line("  floor: segment %d, term %d, vote %d, entry %d", id.Floor.Segment, id.Floor.Term, id.Floor.Vote, id.Floor.Index)
	if r := id.Recovery; r != nil {
		state := "recovered"
		if r.Unfinished {
			state = "RECOVERY UNFINISHED"
		}
		line("  %s: was folder %v of cluster %016x, up to entry %d of term %d", state, r.DirectoryID, r.Cluster, r.Index, r.Term)
	}
	c := id.Cluster
	if c == nil {
		line("  no cluster yet")
		return
	}
	line("  cluster %016x, formed with %d MiB, items of up to %d bytes, by", c.ID, c.Constants.MemoryLimitBytes>>20, c.Constants.ItemBytesMax)
	for _, m := range c.Members {
		line("    %s", memberText(m.ServerID, m.RaftID, m.DirectoryID, m.Host, m.ClientPort, m.LogPort))
	}
	if r := c.Roster; r != nil {
		line("  members after %d changes:", r.Version)
		for _, m := range r.Members {
			line("    %s%s", memberText(m.ServerID, m.RaftID, m.DirectoryID, m.Host, m.ClientPort, m.LogPort), roleText(m.Learner, m.Stays, m.Retired))
		}
	}
}

func roleText(learner, stays, retired bool) string {
	switch {
	case retired:
		return ", retired"
	case stays:
		return ", read replica"
	case learner:
		return ", learner"
	}
	return ""
}

func writeEntry(line func(string, ...any), r *Record) {
	e := r.Entry
	head := fmt.Sprintf("%8d  entry %d term %d", r.Offset, e.Index, e.Term)
	if !e.Time.IsZero() {
		head += " " + e.Time.Format(dumpTime)
	}
	if e.Hints > 0 {
		head += fmt.Sprintf(", %d read hints", e.Hints)
	}
	switch {
	case e.Change != nil:
		head += " " + changeText(e)
	case e.Leaves:
		head += " leaves a joint configuration"
	case e.Time.IsZero() && e.Damage == "":
		head += " empty: a leader begins"
	}
	line("%s", head)
	for _, s := range e.SubBatches {
		from := "the cluster"
		if s.Origin != 0 {
			from = fmt.Sprintf("raft id %d, start %d, loop %d, number %d", s.Origin, s.Boot, s.Loop, s.Sequence)
		}
		if len(s.Operations) == 0 {
			line("          from %s: given up", from)
			continue
		}
		line("          from %s", from)
		for i := range s.Operations {
			line("            %s", opText(&s.Operations[i]))
		}
	}
	if e.Damage != "" {
		line("%8d  DAMAGE: %s: entry %d: %s", r.Offset, r.File, e.Index, e.Damage)
	}
}

func changeText(e *EntryRecord) string {
	m := e.Change
	if m.Kind == replication.ChangeLeases {
		return fmt.Sprintf("change of members %d: leases %v", m.Version+1, m.Leases)
	}
	if m.Kind == replication.ChangeVersion {
		return fmt.Sprintf("change of members %d: cluster version %d", m.Version+1, m.Raised)
	}
	text := fmt.Sprintf("change of members %d: %v server %d", m.Version+1, m.Kind, m.ServerID)
	if m.Host != "" {
		text += fmt.Sprintf(" at %s, ports %d and %d", m.Host, m.ClientPort, m.LogPort)
	}
	if m.Directory != [16]byte{} {
		text += fmt.Sprintf(", folder %v", m.Directory)
	}
	return text
}

func opText(op *OpRecord) string {
	var text strings.Builder
	text.WriteString(op.Op)
	if len(op.Key) > 0 {
		text.WriteString(" " + keyText(op.Key))
	}
	add := func(name string, v any, isSet bool) {
		if isSet {
			fmt.Fprintf(&text, " %s %v", name, v)
		}
	}
	add("value bytes", op.ValueBytes, op.ValueBytes > 0)
	add("flags", op.Flags, op.Flags != 0)
	add("exptime", op.Exptime, op.Exptime != 0)
	add("cas", op.CAS, op.CAS != 0)
	add("delta", op.Delta, op.Delta != 0)
	add("fields", fmt.Sprintf("%#x", op.Fields), op.Fields != 0)
	return text.String()
}

// keyText is a key as people read it.
func keyText(key []byte) string {
	if quoted := strconv.QuoteToASCII(string(key)); quoted != `"`+string(key)+`"` {
		return quoted
	}
	return string(key)
}
