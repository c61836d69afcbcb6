package replication

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// describeMembers tells of each member its server and raft id, and its part; and
// of raft who votes.
func describeMembers(m *Membership) string {
	var words []string
	for i := range m.Members {
		o := &m.Members[i]
		part := ""
		switch {
		case o.RaftID == 0:
			part = " awaited"
		case o.Retired:
			part = " retired"
		case o.Learner:
			part = " learner"
		}
		words = append(words, fmt.Sprintf("%d/%d%s", o.ServerID, o.RaftID, part))
	}
	text := fmt.Sprintf("%s; %d vote", strings.Join(words, ", "), m.Conf.GetVoters())
	if m.joint() {
		text += fmt.Sprintf(" and %d", m.Conf.GetVotersOutgoing())
	}
	return text
}

// changeOf returns a change of the members m.
func changeOf(m *Membership, kind ChangeKind, serverID int) *MemberChange {
	c := &MemberChange{Kind: kind, Version: m.Version, ServerID: serverID, Host: "new", ClientPort: 11211, LogPort: 7}
	if kind == ChangeAdmit {
		c.Directory = DirectoryID{byte(m.NextRaftID)}
	}
	return c
}

// TestChangesOfMembers: what each change makes of three servers, one after the
// other, and what is refused.
func TestChangesOfMembers(t *testing.T) {
	m := formedMembership(formed(3))
	for _, step := range []struct {
		kind     ChangeKind // 0: raft leaves a joint configuration
		serverID int
		want     string // the members, or an error
	}{
		{ChangeAdmit, 0, "no data folder of server 0 is awaited"},
		{ChangePrepare, 0, "server 0 is a member already: choose another id, or replace or remove that one"},
		{ChangePrepare, 3, "0/1, 1/2, 2/3, 3/0 awaited; [1 2 3] vote"},
		{ChangePrepare, 3, "server 3 is a member already: choose another id, or replace or remove that one"},
		{ChangePromote, 3, "server 3 is no learner"},
		{ChangeAdmit, 3, "0/1, 1/2, 2/3, 3/4 learner; [1 2 3] vote"},
		{ChangeAdmit, 3, "no data folder of server 3 is awaited"},
		{ChangePromote, 3, "0/1, 1/2, 2/3, 3/4; [1 2 3 4] vote"},
		{ChangeReplace, 1, "0/1, 1/0 awaited, 1/2 retired, 2/3, 3/4; [1 2 3 4] vote"},
		{ChangeReplace, 1, "server 1 has no data folder in the cluster that could be replaced"},
		{ChangeMove, 1, "0/1, 1/0 awaited, 1/2 retired, 2/3, 3/4; [1 2 3 4] vote"},
		{ChangeAdmit, 1, "0/1, 1/2 retired, 1/5 learner, 2/3, 3/4; [1 2 3 4] vote"},
		{ChangeReplace, 1, "0/1, 1/0 awaited, 1/2 retired, 2/3, 3/4; [1 2 3 4] vote"}, // the learner died, too
		{ChangeAdmit, 1, "0/1, 1/2 retired, 1/6 learner, 2/3, 3/4; [1 2 3 4] vote"},
		{ChangePromote, 1, "0/1, 1/6, 2/3, 3/4; [1 3 4 6] vote and [1 2 3 4]"},
		{ChangeRemove, 3, errJoint.Error()},
		{0, 0, "0/1, 1/6, 2/3, 3/4; [1 3 4 6] vote"},
		{ChangeRemove, 3, "0/1, 1/6, 2/3; [1 3 6] vote"},
		{ChangeRemove, 3, "server 3 is no member"},
		{ChangeRemove, 1, "0/1, 2/3; [1 3] vote"},
		{ChangePrepare, 1, "0/1, 1/0 awaited, 2/3; [1 3] vote"},
		{ChangeAdmit, 1, "0/1, 1/7 learner, 2/3; [1 3] vote"}, // 6 is not used again
		{ChangeRemove, 2, "0/1, 1/7 learner; [1] vote"},
		{ChangeRemove, 0, "change raft's configuration: removed all voters"},
		{changeEnd, 0, "change of kind 10 is unknown: run a newer raftcached"},
	} {
		next, _, err := m.leave()
		if step.kind != 0 {
			next, _, err = m.plan(changeOf(m, step.kind, step.serverID))
		}
		if err != nil {
			if err.Error() != step.want {
				t.Fatalf("%v server %d: %v, want %s", step.kind, step.serverID, err, step.want)
			}
			continue
		}
		if got := describeMembers(next); got != step.want {
			t.Fatalf("%v server %d: %s, want %s", step.kind, step.serverID, got, step.want)
		}
		checkEncoding(t, next)
		m = next
	}
	old := changeOf(m, ChangePrepare, 9)
	old.Version--
	if _, _, err := m.plan(old); !errors.Is(err, errRaced) {
		t.Fatalf("a change of older members: %v", err)
	}
}

// TestVoteIsNewsWhenItIsSettled: from the change on, over the end of the joint
// configuration, until nobody needs the folder that is replaced.
func TestVoteIsNewsWhenItIsSettled(t *testing.T) {
	m := formedMembership(formed(3))
	for i, step := range []struct {
		kind     ChangeKind // 0: raft leaves the joint configuration
		promotes bool
	}{{ChangeReplace, false}, {ChangeAdmit, false}, {ChangePromote, true}, {0, true}, {ChangeSettle, false}} {
		next, _, err := m.leave()
		if step.kind != 0 {
			next, _, err = m.plan(changeOf(m, step.kind, 1))
		}
		must(t, err)
		if m = next; m.Promotes(4) != step.promotes || m.Promotes(1) || m.Promotes(0) {
			t.Errorf("step %d: %+v", i, m)
		}
	}
}

func checkEncoding(t *testing.T, m *Membership) {
	t.Helper()
	b, newest := m.append(nil), uint64(snapshotLeases)
	if m.Raised > 0 {
		newest = snapshotRaised
	}
	r := frame.NewReader(b)
	read, err := readMembership(&r, newest)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(read.Members, m.Members) || !slices.Equal(read.append(nil), b) || len(r.Rest()) > 0 {
		t.Fatalf("read %+v, wrote %+v", read, m)
	}
	for less := 1; less <= 2 && newest == snapshotLeases; less++ { // what older versions lack: which leases there are, and whether it is settled
		version := uint64(snapshotLeases - less)
		r = frame.NewReader(append([]byte{b[0] - byte(less)}, b[1:len(b)-less]...))
		old, err := readMembership(&r, version)
		if err != nil || old.Settled != (less < 2 && m.Settled) || old.Leases != LeasesFormed || !slices.Equal(old.Members, m.Members) || len(r.Rest()) > 0 {
			t.Fatalf("read %+v of version %d, %v; wrote %+v", old, version, err, m)
		}
	}
	for i := range b {
		r := frame.NewReader(b[:i])
		if _, err := readMembership(&r, newest); err == nil {
			t.Fatalf("%d of %d bytes are read", i, len(b))
		}
	}
}

// goldenLeases is the context of a change of the leases in the log.
const goldenLeases = `9b 02 08 05 cd 1234 00 c410 00000000000000000000000000000000 a0 00 00 c2 03`

// TestChangeOfLeases holds what a change of the leases does, and its format in the log.
func TestChangeOfLeases(t *testing.T) {
	m := formedMembership(formed(3))
	m.Version = 5
	c := MemberChange{Kind: ChangeLeases, Version: 5, ID: 0x1234, Leases: LeasesAll}
	want, err := hex.DecodeString(strings.ReplaceAll(goldenLeases, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	if got := c.encode(); !slices.Equal(got, want) {
		t.Fatalf("change is\n% x, want\n% x", got, want)
	}
	if read, err := decodeChange(want); err != nil || *read != c {
		t.Fatalf("read %+v: %v", read, err)
	}
	for i := range want {
		if _, err := decodeChange(want[:i]); err == nil {
			t.Fatalf("%d of %d bytes are read", i, len(want))
		}
	}
	if _, err := decodeChange(append([]byte{0x9a}, want[1:len(want)-1]...)); err == nil {
		t.Fatal("a change of the leases without them is read")
	}
	next, cc, err := m.plan(&c)
	if err != nil || next.Leases != LeasesAll || next.Version != 6 || !slices.Equal(next.Members, m.Members) || !proto.Equal(next.Conf, m.Conf) || len(cc.GetChanges()) != 1 {
		t.Fatalf("planned %+v, %v, %v", next, cc, err)
	}
	checkEncoding(t, next)
	if settled, _, err := next.plan(&MemberChange{Kind: ChangeSettle, Version: 6}); err != nil || settled.Leases != LeasesAll || !settled.Settled {
		t.Fatalf("settled it is %+v, %v", settled, err)
	}
	if _, _, err := m.plan(&MemberChange{Kind: ChangeLeases, Version: 5}); err == nil {
		t.Fatal("leases that are not named are agreed to")
	}
}

// TestAdmits: who may be heard, before and after a replacement.
func TestAdmits(t *testing.T) {
	m := formedMembership(formed(3))
	own := m.Members[1].Directory
	retired := *m
	retired.Members = slices.Clone(m.Members)
	retired.Members[1].Retired = true
	gone := *m
	gone.Members = m.Members[:1]
	for _, c := range []struct {
		name   string
		m      *Membership
		raftID uint64
		d      DirectoryID
		want   bool
	}{
		{"a member", m, 2, own, true},
		{"another folder", m, 2, DirectoryID{}, false},
		{"a newer member", m, 4, DirectoryID{9}, true},
		{"a retired one", &retired, 2, own, false},
		{"a removed one", &gone, 2, own, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.m.Admits(c.raftID, c.d)
			if (err == nil) != c.want || err != nil && !errors.Is(err, ErrRetired) {
				t.Fatal(err)
			}
		})
	}
}

// goldenChange is the context of a change in the log.
const goldenChange = `9a 01 03 05 cd 1234 02 c410 0102 0000000000000000000000000000 a46e6f6465 cd2bcb cd1b58 c3`

// TestChangeBytes holds the format of a change in the log.
func TestChangeBytes(t *testing.T) {
	want, err := hex.DecodeString(strings.ReplaceAll(goldenChange, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	c := MemberChange{
		Kind: ChangeAdmit, Version: 5, ID: 0x1234, ServerID: 2, Directory: DirectoryID{1, 2}, Host: "node", ClientPort: 11211, LogPort: 7000, Stays: true,
	}
	if got := c.encode(); !slices.Equal(got, want) {
		t.Fatalf("change is\n% x, want\n% x", got, want)
	}
	data, err := proto.Marshal(&pb.ConfChangeV2{Context: want})
	if err != nil {
		t.Fatal(err)
	}
	if read, err := readChange(data); err != nil || *read != c {
		t.Fatalf("read %+v: %v", read, err)
	}
	want[1] = changeVersion + 1
	if data, err = proto.Marshal(&pb.ConfChangeV2{Context: want}); err != nil {
		t.Fatal(err)
	}
	if _, err := readChange(data); err == nil || !strings.Contains(err.Error(), "run a newer raftcached") {
		t.Fatalf("a newer change: %v", err)
	}
}

// TestAddressesAreTaken: a change gives no server an address that another one has. The
// place of a retired folder is that of the one which follows it.
func TestAddressesAreTaken(t *testing.T) {
	m := &Membership{Members: []Member{
		{ServerID: 0, RaftID: 1, Host: "a", ClientPort: 1, LogPort: 2},
		{ServerID: 1, RaftID: 0, Host: "b", ClientPort: 1, LogPort: 2},
		{ServerID: 1, RaftID: 2, Host: "old", ClientPort: 1, LogPort: 2, Retired: true},
		{ServerID: 2, RaftID: 3, Host: "c", LogPort: 2},
	}}
	for _, c := range []struct {
		change MemberChange
		want   string
	}{
		{MemberChange{Kind: ChangePrepare, ServerID: 3, Host: "a", ClientPort: 3, LogPort: 2}, "a:2 is the address of server 0: give server 3 another host or other ports"},
		{MemberChange{Kind: ChangePrepare, ServerID: 3, Host: "A", ClientPort: 1, LogPort: 4}, "A:1 is the address of server 0"},
		{MemberChange{Kind: ChangeReplace, ServerID: 0, Host: "b", ClientPort: 3, LogPort: 1}, "b:1 is the address of server 1"},
		{MemberChange{Kind: ChangeMove, ServerID: 0, Host: "c", ClientPort: 2, LogPort: 4}, "c:2 is the address of server 2"},
		{MemberChange{Kind: ChangePrepare, ServerID: 3, Host: "d", ClientPort: 5, LogPort: 5}, "port 5 of server 3 cannot be for clients and for the other servers"},
		{MemberChange{Kind: ChangeReplace, ServerID: 0, Host: "a", ClientPort: 1, LogPort: 2}, ""},
		{MemberChange{Kind: ChangeMove, ServerID: 0, Host: "a", ClientPort: 2, LogPort: 1}, ""},
		{MemberChange{Kind: ChangePrepare, ServerID: 3, Host: "old", ClientPort: 1, LogPort: 2}, ""},
		{MemberChange{Kind: ChangePrepare, ServerID: 3, Host: "c"}, ""},
		{MemberChange{Kind: ChangeAdmit, ServerID: 3}, ""},
	} {
		switch err := m.addressFree(&c.change); {
		case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.HasPrefix(err.Error(), c.want)):
			t.Errorf("%v %+v: %v, want %q", c.change.Kind, c.change, err, c.want)
		}
	}
}
