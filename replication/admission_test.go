package replication

import (
	"slices"
	"testing"
)

// TestAdmission: who may come in, by which changes.
func TestAdmission(t *testing.T) {
	old, comes, free := DirectoryID{2}, DirectoryID{4}, DirectoryID{9}
	other := Member{ServerID: 0, RaftID: 1, Directory: DirectoryID{1}, Host: "a", ClientPort: 1, LogPort: 2}
	present := Member{ServerID: 1, RaftID: 2, Directory: old, Host: "b", ClientPort: 1, LogPort: 2}
	retired := present
	retired.Retired = true
	learner := Member{ServerID: 1, RaftID: 4, Directory: comes, Host: "b", ClientPort: 1, LogPort: 2, Learner: true}
	awaited := Member{ServerID: 1, Host: "b", ClientPort: 1, LogPort: 2}

	j := Newcomer{ServerID: 1, Directory: free}
	at := j
	at.Host, at.ClientPort, at.LogPort = "c", 3, 4
	same := j
	same.Host, same.ClientPort, same.LogPort = "b", 1, 2
	replaces, replacesAt := j, at
	replaces.Replaces, replacesAt.Replaces = true, true
	zero := Newcomer{ServerID: 1}
	again := func(d DirectoryID) Newcomer { return Newcomer{ServerID: 1, Directory: d, Replaces: true} }

	admit := MemberChange{Kind: ChangeAdmit, ServerID: 1, Directory: free}
	place := func(k ChangeKind, host string, client, log int) MemberChange {
		return MemberChange{Kind: k, ServerID: 1, Host: host, ClientPort: client, LogPort: log}
	}
	leads := Vantage{Leads: true, Hears: func(id uint64) bool { return id == 1 }}
	hearsAll := Vantage{Leads: true, Hears: func(uint64) bool { return true }}
	for _, c := range []struct {
		name    string
		members []Member
		j       Newcomer
		v       Vantage
		want    Admission
		changes []MemberChange
	}{
		{"nobody awaits it", []Member{other}, j, leads, AdmissionUnknown, nil},
		{"it is awaited", []Member{other, awaited}, j, Vantage{}, AdmissionGranted, []MemberChange{admit}},
		{"so, with a folder of zeros, which those that are awaited have", []Member{other, awaited}, zero, Vantage{}, AdmissionGranted, []MemberChange{{Kind: ChangeAdmit, ServerID: 1}}},
		{"where it is", []Member{other, awaited}, same, Vantage{}, AdmissionGranted, []MemberChange{admit}},
		{"elsewhere", []Member{other, awaited}, at, Vantage{}, AdmissionGranted, []MemberChange{place(ChangeMove, "c", 3, 4), admit}},
		{"after a replacement was asked for", []Member{other, awaited, retired}, j, Vantage{}, AdmissionGranted, []MemberChange{admit}},
		{"it asks again", []Member{other, retired, learner}, again(comes), leads, AdmissionMember, nil},
		{"the retired folder asks", []Member{other, awaited, retired}, again(old), leads, AdmissionRetired, nil},
		{"so, when another one has come", []Member{other, retired, learner}, again(old), leads, AdmissionRetired, nil},
		{"its server has a folder", []Member{other, present}, j, leads, AdmissionOutdated, nil},
		{"so, which has just come", []Member{other, retired, learner}, j, leads, AdmissionOutdated, nil},
		{"it replaces that, and asks a follower", []Member{other, present}, replaces, Vantage{}, AdmissionElsewhere, nil},
		{"it replaces that, which runs", []Member{other, present}, replaces, hearsAll, AdmissionLater, nil},
		{"it replaces that", []Member{other, present}, replaces, leads, AdmissionGranted, []MemberChange{place(ChangeReplace, "b", 1, 2), admit}},
		{"it replaces that, elsewhere", []Member{other, present}, replacesAt, leads, AdmissionGranted, []MemberChange{place(ChangeReplace, "c", 3, 4), admit}},
		{"it replaces one that has just come, and is gone", []Member{other, retired, learner}, replaces, leads, AdmissionGranted, []MemberChange{place(ChangeReplace, "b", 1, 2), admit}},
		{"so, which runs", []Member{other, retired, learner}, replaces, hearsAll, AdmissionLater, nil},
		{"only the retired folder is left", []Member{other, retired}, j, leads, AdmissionUnknown, nil},
	} {
		m := &Membership{Members: c.members}
		if got, changes := m.Admission(&c.j, c.v); got != c.want || !slices.Equal(changes, c.changes) {
			t.Errorf("%s: %d, %+v; want %d, %+v", c.name, got, changes, c.want, c.changes)
		}
	}
}
