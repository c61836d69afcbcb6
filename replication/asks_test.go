package replication

import (
	"errors"
	"testing"
	"time"
)

// askTest is a follower of three whose leader is node 2 in term 5, and which was asked
// for a change.
func askTest(t *testing.T) (*Core, *MemberChange) {
	t.Helper()
	c := newBorderCore(t)
	c.leader, c.term = 2, 5
	change := &MemberChange{Kind: ChangePrepare, ID: 77, ServerID: 9, Host: "new", LogPort: 1}
	c.Change(change)
	return c, change
}

// signalled returns what a core has sent so far, and to whom, and forgets it.
func signalled(c *Core) []Forward {
	sent := c.eff.Signals
	c.eff.Signals = nil
	return sent
}

// outcomes returns what a core has told so far.
func outcomes(c *Core) []Outcome {
	told := c.eff.Outcomes
	c.eff.Outcomes = nil
	return told
}

func refusalOf(term, id, version uint64, reason string) []byte {
	c := &Core{term: term}
	c.refuse(0, &refusal{id, version, reason})
	return c.eff.Signals[0].Payload
}

// TestAsksAgain: the leader is asked at once, again after a while, and a new leader at
// the next tick; nobody is once it is forgotten.
func TestAsksAgain(t *testing.T) {
	c, _ := askTest(t)
	if sent := signalled(c); len(sent) != 1 || sent[0].To != 2 {
		t.Fatalf("sent %v, want one request to node 2", sent)
	}
	c.tickAsks()
	if sent := signalled(c); len(sent) != 0 {
		t.Fatalf("sent %v, too early", sent)
	}
	c.mono += askGap
	c.tickAsks()
	if sent := signalled(c); len(sent) != 1 {
		t.Fatalf("sent %v, want the request again", sent)
	}
	c.leader, c.term = 3, 6
	c.tickAsks()
	if sent := signalled(c); len(sent) != 1 || sent[0].To != 3 {
		t.Fatalf("sent %v, want one request to node 3", sent)
	}
	c.leader = 0
	c.mono += time.Minute
	c.tickAsks()
	c.leader = 3
	c.Forget(77)
	c.tickAsks()
	if sent, told := signalled(c), outcomes(c); len(sent) != 0 || len(told) != 0 {
		t.Fatalf("sent %v and told %v", sent, told)
	}
}

// TestLateRefusals: a refusal counts only if it is about the latest request. Another
// one may come while a later leader agrees.
func TestLateRefusals(t *testing.T) {
	c, change := askTest(t)
	c.leader, c.term = 3, 6
	c.tickAsks()
	for _, late := range [][]byte{
		refusalOf(5, change.ID, change.Version, "of the leader before"),
		refusalOf(6, change.ID, change.Version+1, "of other members"),
		refusalOf(6, change.ID+1, change.Version, "of another request"),
	} {
		if err := c.Signalled(2, late); err != nil {
			t.Fatal(err)
		}
	}
	if told := outcomes(c); len(told) != 0 {
		t.Fatalf("told %v", told)
	}
	if err := c.Signalled(3, refusalOf(6, change.ID, change.Version, "no")); err != nil {
		t.Fatal(err)
	}
	if told := outcomes(c); len(told) != 1 || told[0].ID != change.ID || told[0].Err == nil || told[0].Err.Error() != "no" {
		t.Fatalf("told %v", told)
	}
}

// TestOvertakenAsks: what becomes of a request when the members change.
func TestOvertakenAsks(t *testing.T) {
	for _, tc := range []struct {
		name    string
		other   MemberChange // what was applied
		seen    bool         // or else a snapshot has brought it
		want    error
		settled bool
	}{
		{"it was made", MemberChange{Kind: ChangePrepare, ID: 77, ServerID: 9, Host: "new", LogPort: 1}, true, nil, true},
		{"another server was changed", MemberChange{Kind: ChangeMove, ServerID: 1, Host: "b", LogPort: 2}, true, nil, false},
		{"the same server was changed", MemberChange{Kind: ChangePrepare, ServerID: 9, Host: "b", LogPort: 2}, true, errRaced, true},
		{"a snapshot has it, or not", MemberChange{Kind: ChangePrepare, ID: 77, ServerID: 9, Host: "new", LogPort: 1}, false, errUnknownChange, true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c, change := askTest(t)
			signalled(c)
			tc.other.Version = change.Version
			next, conf, err := c.members.plan(&tc.other)
			must(t, err)
			report := &AppliedUpTo{Members: next}
			if tc.seen {
				report.Changes = []AppliedChange{{Index: 1, ID: tc.other.ID, Conf: conf, Members: next}}
			}
			c.confIndex = 1 // raft is not the matter here
			c.noteMembers(report)
			told := outcomes(c)
			if tc.settled && tc.want == nil {
				if c.tickAsks(); len(told) != 0 || len(signalled(c)) != 0 {
					t.Fatalf("told %v, or asked again, before it is settled", told)
				}
				next, conf, err = next.plan(&MemberChange{Kind: ChangeSettle, Version: next.Version})
				must(t, err)
				c.noteMembers(&AppliedUpTo{Members: next, Changes: []AppliedChange{{Index: 1, Conf: conf, Members: next}}})
				told = outcomes(c)
			}
			if !tc.settled {
				c.mono += askGap
				c.tickAsks()
				if sent := signalled(c); len(told) != 0 || len(sent) != 1 || c.asks.open[0].Version != next.Version {
					t.Fatalf("told %v, sent %v: want the request again, for the new members", told, sent)
				}
				return
			}
			if len(told) != 1 || !errors.Is(told[0].Err, tc.want) || len(c.asks.open) != 0 {
				t.Fatalf("told %v, want %v", told, tc.want)
			}
		})
	}
}
