package replication

import "time"

// switching has any node ask for other leases, again and again, until the given time.
func (s *simulation) switching(until time.Duration) {
	s.after(time.Duration(20+s.rng.IntN(300))*time.Millisecond, func() {
		if s.now >= until {
			return
		}
		leases := []Leases{LeasesOff, LeasesLeader, LeasesAll, LeasesAll}[s.rng.IntN(4)]
		s.anyNode().change(&MemberChange{Kind: ChangeLeases, Leases: leases})
		s.switching(until)
	})
}

// switchOn switches leases on, and deposes the leader before others have applied that.
func (t *simTrouble) switchOn() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	leader.change(&MemberChange{Kind: ChangeLeases, Leases: LeasesOff})
	s.after(100*time.Millisecond, func() {
		for _, n := range s.nodes {
			if n != leader {
				t.holdUp(n, 2)
			}
		}
		leader.change(&MemberChange{Kind: ChangeLeases, Leases: LeasesAll})
		s.after(time.Duration(10+s.rng.IntN(60))*time.Millisecond, t.depose)
	})
}

// switchOff switches leases off, while the entries that holders get are late.
func (t *simTrouble) switchOff() {
	s, leader := t.s, t.s.leader()
	if leader == nil {
		return
	}
	leader.change(&MemberChange{Kind: ChangeLeases, Leases: LeasesOff})
	s.after(time.Duration(s.rng.IntN(30))*time.Millisecond, t.starve)
	s.after(300*time.Millisecond, func() {
		leader.change(&MemberChange{Kind: ChangeLeases, Leases: LeasesAll})
	})
}
