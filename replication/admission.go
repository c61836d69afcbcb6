package replication

import "slices"

// Newcomer is an empty data folder that asks to come in.
type Newcomer struct {
	ServerID            int
	Directory           DirectoryID
	Host                string // where the others are to find it; empty: where the members have it
	ClientPort, LogPort int
	Replaces            bool // it may take the place of its server's folder without an operator's word
}

// Admission is what is to become of a newcomer, by the members that a node knows. All but
// AdmissionMember are to be taken for true by confirmed members only: see decision 38.
type Admission uint8

// The admissions.
const (
	AdmissionMember    Admission = iota // it is one already: it asks again if it has not heard the answer
	AdmissionRetired                    // it was one, and may never be heard again
	AdmissionGranted                    // the changes make it one
	AdmissionUnknown                    // nobody awaits its server
	AdmissionOutdated                   // its server has another folder, whose place it may not take by itself
	AdmissionElsewhere                  // it may, and the leader is to be asked, to whom all voters speak
	AdmissionLater                      // it may, once its server's other folder is heard no more
)

// Vantage is what a node knows of the others besides the members.
type Vantage struct {
	Leads bool
	Hears func(raftID uint64) bool // also itself
}

// Admission decides on a newcomer. If it is granted, the changes are to be made one after
// the other.
func (m *Membership) Admission(j *Newcomer, v Vantage) (Admission, []MemberChange) {
	if i := slices.IndexFunc(m.Members, func(o Member) bool { return o.RaftID != 0 && o.Directory == j.Directory }); i >= 0 {
		if m.Members[i].Retired {
			return AdmissionRetired, nil
		}
		return AdmissionMember, nil
	}
	place := m.inPlace(j.ServerID)
	switch {
	case place == nil:
		return AdmissionUnknown, nil
	case place.RaftID == 0:
	case !j.Replaces:
		return AdmissionOutdated, nil
	case !v.Leads:
		return AdmissionElsewhere, nil
	case v.Hears(place.RaftID):
		return AdmissionLater, nil
	}
	before := MemberChange{Kind: ChangeMove, ServerID: j.ServerID, Host: place.Host, ClientPort: place.ClientPort, LogPort: place.LogPort}
	moves := j.Host != "" && (place.Host != j.Host || place.ClientPort != j.ClientPort || place.LogPort != j.LogPort)
	if moves { // the server knows better where it is than who has prepared for it
		before.Host, before.ClientPort, before.LogPort = j.Host, j.ClientPort, j.LogPort
	}
	admit := MemberChange{Kind: ChangeAdmit, ServerID: j.ServerID, Directory: j.Directory}
	switch {
	case place.RaftID != 0:
		before.Kind = ChangeReplace
		return AdmissionGranted, []MemberChange{before, admit}
	case moves:
		return AdmissionGranted, []MemberChange{before, admit}
	}
	return AdmissionGranted, []MemberChange{admit}
}

// inPlace returns the member that has a server's place, or is awaited there: not the folder
// that is retired. It is nil if there is none.
func (m *Membership) inPlace(serverID int) *Member {
	for i := range m.Members {
		if o := &m.Members[i]; o.ServerID == serverID && !o.Retired {
			return o
		}
	}
	return nil
}
