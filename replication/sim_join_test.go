package replication

import "time"

// asks has an empty folder ask a node whether it may come in, as internal/node goes about it:
// a majority confirms what the members are, then the node decides by what it has made known
// of them. The folder asks again, for the next change, until it is a member.
func (o *simOperator) asks(j, n *simNode, replaces bool) {
	if !n.up || n.paused {
		return
	}
	s := o.s
	list := s.check.members.changes
	newest := list[len(list)-1].Members.Version
	var decide func()
	decide = func() {
		if n.known.Version < n.machine.core.members.Version && !s.bugs.has(bugJoinsUnconfirmed) {
			s.after(time.Millisecond, n.inLife(decide))
			return
		}
		core := n.machine.core
		a, changes := n.known.Admission(&Newcomer{
			ServerID: j.member.ServerID, Directory: j.member.Directory, Host: j.member.Host, LogPort: j.member.LogPort, Replaces: replaces,
		}, Vantage{Leads: core.leader == n.raft, Hears: core.hears})
		switch a {
		case AdmissionGranted:
			if !o.asksOnly {
				n.change(&changes[0])
			}
		case AdmissionRetired, AdmissionUnknown, AdmissionOutdated: // it ends with that
			if n.known.Version < newest {
				s.failf("node %d refuses server %d for good by version %d of the members, when there was %d", n.id, j.member.ServerID, n.known.Version, newest)
			}
			s.stats.joinsRefused++
		}
	}
	n.read(&simClient{s: s, node: n, toldRead: func(ok bool) {
		if ok {
			s.after(0, n.inLife(decide))
		}
	}})
}

// askWhileMembersChange has an empty folder ask every node at the moment at which its server
// is announced.
func (s *simulation) askWhileMembersChange() {
	s.setUp()
	s.addClients(3)
	o := &simOperator{s: s, asksOnly: true}
	for i := range 30 {
		leader := s.leader()
		if leader == nil {
			s.runUntil(s.now + 100*time.Millisecond)
			continue
		}
		announced := Member{ServerID: 10 + i, Host: "new", LogPort: 1 + i}
		list := &s.check.members.changes
		before := len(*list)
		leader.change(&MemberChange{Kind: ChangePrepare, ServerID: announced.ServerID, Host: announced.Host, LogPort: announced.LogPort})
		for end := s.now + time.Second; s.now < end && len(*list) == before; {
			s.runUntil(s.now + 20*time.Microsecond)
		}
		j := o.joiner(&announced)
		for _, n := range s.nodes {
			for range 10 {
				s.after(s.delay(3*time.Millisecond), n.inLife(func() { o.asks(j, n, false) }))
			}
		}
		s.runUntil(s.now + 50*time.Millisecond)
	}
}
