package replication

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ask has a node ask for a change of a server, as raftcachectl does: replace or remove.
func (st *story) ask(t *testing.T, args []string) {
	kind, ok := map[string]ChangeKind{"replace": ChangeReplace, "remove": ChangeRemove}[args[1]]
	if !ok {
		t.Fatalf("unknown change %q", args[1])
	}
	st.node(t, args[0]).change(&MemberChange{Kind: kind, ServerID: st.number(t, args[2]), Host: "new", LogPort: 1})
	st.s.runUntil(st.s.now + 50*time.Millisecond)
}

// join has an empty folder of a server that is awaited ask to come in, and starts it when
// it is a member.
func (st *story) join(t *testing.T, args []string) {
	members := st.node(t, "leader").machine.core.members
	i := members.awaited(st.number(t, args[0]))
	if i < 0 {
		t.Fatalf("server %s is not awaited", args[0])
	}
	awaited := members.Members[i]
	o := &simOperator{s: st.s}
	folder := o.joiner(&awaited).member.Directory
	st.node(t, "leader").change(&MemberChange{Kind: ChangeAdmit, ServerID: awaited.ServerID, Directory: folder})
	st.s.runUntil(st.s.now + 50*time.Millisecond)
	o.start()
	if len(o.joiners) > 0 {
		st.printf("not admitted")
	}
}

// members shows who belongs to the cluster, as each node has applied it.
func (st *story) members() {
	for _, n := range st.s.nodes {
		if !n.up {
			st.printf("%d: down", n.id)
			continue
		}
		m := n.machine.core.members
		var list []string
		for i := range m.Members {
			list = append(list, st.describe(m, &m.Members[i]))
		}
		st.printf("%d: %s", n.id, strings.Join(list, ", "))
	}
}

func (st *story) describe(m *Membership, o *Member) string {
	folder := fmt.Sprintf("server %d is node %d", o.ServerID, o.RaftID-1)
	switch {
	case o.RaftID == 0:
		return fmt.Sprintf("server %d is awaited", o.ServerID)
	case o.Retired:
		return folder + ", retired"
	case m.TakesOver(o.RaftID):
		return folder + ", takes the vote over"
	case o.Learner:
		return folder + ", without a vote"
	}
	return folder
}

func (st *story) number(t *testing.T, text string) int {
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return n
}
