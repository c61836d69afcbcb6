package overview

import (
	"fmt"
	"slices"

	"raftcached/internal/admin"
)

// tally counts the servers of a view.
type tally struct {
	ready     int // that serve
	votes     int // a retired data folder has one that nobody can use
	majority  int
	there     int // with a vote, that are not down
	healthy   int // with a vote, that do their part
	restoring bool
}

func (v *View) count() (t tally) {
	for i := range v.Servers {
		r := &v.Servers[i]
		if r.State == admin.StateOK || r.State == admin.StateRestoring {
			t.ready++
		}
		t.restoring = t.restoring || r.State == admin.StateRestoring
		if r.Votes() {
			t.votes++
			if r.State != StateUnreachable && r.State != StateSilent {
				t.there++
			}
			if r.Well() {
				t.healthy++
			}
		}
		if r.Replaced {
			t.votes++
		}
	}
	t.majority = t.votes/2 + 1
	return t
}

// lost reports whether too few servers are there to agree on anything.
func (t *tally) lost() bool { return t.ready == 0 && t.there < t.majority }

func (t *tally) lostText() string {
	return fmt.Sprintf("no majority: of %d servers with a vote %d are needed, and %d can be reached", t.votes, t.majority, t.there)
}

// What helps without a majority.
const (
	LostHelp = "Start the servers that are down: nothing is lost."
	LostWord = "Gone for good, data folders and all: raftcachectl recover begins a new cluster with a folder that is left (docs/operate.md, The worst day)."
)

// judge says what the rows mean together, and what helps.
func (v *View) judge() {
	t := v.count()
	switch {
	case v.Cluster == "":
		v.Problems = append(v.Problems, Problem{Text: "it is not formed yet: that takes all servers that are listed, once", Help: "Start those that are missing."})
	case t.lost():
		v.Problems = append(v.Problems, Problem{Text: t.lostText(), Help: LostHelp + "\n   " + LostWord})
	}
	for i := range v.Servers {
		v.addProblem(&v.Servers[i], &t)
	}
	if t.restoring {
		v.Problems = append(v.Problems, Problem{
			Text: "a backup is being restored: until it is complete, clients find nothing and their writes are refused",
			Help: "Wait. If the restore has stopped, repeat it, or give it up: raftcachectl restore --abandon.",
		})
	}
	spare := t.healthy - t.majority
	switch {
	case t.ready == 0:
		v.Verdict = NoMajority
		v.Meaning = fmt.Sprintf("%d of %d servers must serve", t.majority, t.votes)
	case t.votes == 1 && t.healthy == 1:
		v.Verdict, v.Meaning = OK, "a lone server"
	case t.votes == 2 && t.healthy == 2:
		v.Verdict, v.Meaning = OK, "no loss is survived"
	case spare <= 0:
		v.Verdict, v.Meaning = Degraded, "one more loss stops it"
	case t.healthy < t.votes:
		v.Verdict, v.Meaning = Degraded, fmt.Sprintf("it survives %d more", spare)
	case spare == 1:
		v.Verdict, v.Meaning = OK, "one loss is survived"
	default:
		v.Verdict, v.Meaning = OK, fmt.Sprintf("%d losses are survived", spare)
	}
	if v.Verdict == OK && slices.ContainsFunc(v.Problems, func(p Problem) bool { return p.ServerID == nil }) {
		v.Verdict = Degraded
	}
	if slices.ContainsFunc(v.Servers, func(r Row) bool { return r.WritesRefused == admin.RefusedDiskFull }) {
		v.Meaning = "writes are refused, too few servers have room on their disks"
	}
	v.addNotes(&t)
}

// Lost says that too few servers are there to agree on anything; empty: enough are.
func (v *View) Lost() string {
	if t := v.count(); t.lost() {
		return t.lostText()
	}
	return ""
}

// addNotes adds what is worth to be known and does not change the verdict.
func (v *View) addNotes(t *tally) {
	if t.votes == 2 && t.healthy == 2 {
		v.Problems = append(v.Problems, Problem{
			Text: "of two servers with a vote both are needed: if one stops, the other one serves nobody",
			Help: "Add a third one: raftcachectl member add ID --host HOST.",
		})
	}
	v.compareVersions()
	for i := range v.Servers {
		v.addExpiries(&v.Servers[i])
	}
}

// addProblem adds what is wrong with one server.
func (v *View) addProblem(r *Row, t *tally) {
	p := Problem{ServerID: &r.ID, Text: r.State + ": " + r.Reason}
	switch r.State {
	case admin.StateOK, admin.StateRestoring:
		switch {
		case r.lowDisk():
			p.Text = fmt.Sprintf("its disk is low: %s free, the reserve is %s", Size(r.Disk.FreeBytes), Size(r.Disk.ReserveBytes))
			p.Help = "Make room on it: while too few servers have room, writes are refused."
		case r.WritesRefused == admin.RefusedDiskStalled:
			p.Text, p.Help = r.Reason, "Look at the disk of its data folder."
		case r.Learner && !r.Stays:
			p.Text, p.Help = "it has no vote yet", "Nothing to do: it gets its vote when it has what the others have."
		default:
			return
		}
	case StateAwaited:
		p.Text = r.Reason
		p.Help = fmt.Sprintf("Start it with an empty data folder: %s.\n   Or give it up: raftcachectl member remove %d.", v.Start.Command(r.member, v.Known, v.others(r.ID)...), r.ID)
	case StateUnreachable:
		p.Text = "the others do not reach it (" + r.Reason + ")"
		if r.Since != nil {
			p.Text = fmt.Sprintf("lost at %s (%s)", Clock(*r.Since), r.Reason)
		}
		if v.Cluster == "" {
			p.Text, p.Help = "it is not there ("+r.Reason+")", fmt.Sprintf("Start it: %s.", v.Start.Command(r.member, v.Known))
			break
		}
		p.Help = v.Start.again(r.member, v.Known) + " It fetches by itself what it missed."
		if !t.lost() { // who is removed or replaced must be by a majority
			p.Help += fmt.Sprintf("\n   Gone for good: raftcachectl member %s %d.", map[bool]string{false: "replace", true: "remove"}[r.Stays], r.ID)
		}
	case StateSilent:
		p.Help = "It hangs, or a firewall drops what is sent there. Look at its log."
	case StateReachable:
		p.Text = "only the other servers reach it: " + r.Reason
		p.Help = "To see it in full, run raftcachectl on its machine, or give it an adminPort and an adminHost in server.json, or -admin-listen."
	case admin.StateStarting, admin.StateCatchingUp, admin.StateQuarantine, admin.StateStopping:
		p.Help = "Nothing to do: wait."
	case admin.StateNoMajority:
		if t.lost() {
			return // it was said of the cluster
		}
		p.Help = "Nothing to do: wait."
	default:
		p.Help = "Look at its log."
	}
	v.Problems = append(v.Problems, p)
}

// others are the log ports of the servers that are there, but for one.
func (v *View) others(but int) (addrs []string) {
	for i := range v.Servers {
		if m := v.Servers[i].member; m.ID != but && !m.Awaited && m.LogAddress != "" {
			addrs = append(addrs, m.LogAddress)
		}
	}
	return addrs
}
