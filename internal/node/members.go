package node

import (
	"fmt"

	"raftcached/replication"
	"raftcached/replication/identity"
)

// members returns who belongs to the cluster, as this node has applied it, or as it
// has noted it before it was started. It is nil until the node knows its cluster.
func (n *Node) members() *replication.Membership { return n.known.Load() }

// follow takes the members as they are applied. Those that were noted before the
// start are the later ones, until the log is read.
func (n *Node) follow(m *replication.Membership) {
	if n.transport != nil {
		n.transport.SetMembers(rosterOf(m))
	}
	old := n.known.Load()
	if old.Version > m.Version {
		return
	}
	n.known.Store(m)
	n.tellChanges(placesOf(old), placesOf(m))
	if m.Leases != old.Leases {
		n.cfg.Logger.Info("leases are " + m.Leases.String() + " from now on")
	}
	if v := m.ClusterVersion(); v > old.ClusterVersion() {
		n.cfg.Logger.Info(fmt.Sprintf("the cluster version is %d from now on: a program that does not know it cannot take part any more", v))
	}
	if m.Excludes(n.raftID) && !old.Excludes(n.raftID) {
		n.cfg.Logger.Error("the cluster goes on without this data folder: no clients are served any more")
	}
	if m.Version > 0 {
		_ = n.identity.KeepRoster(rosterOf(m)) // if it failed the next floor fails too, and ends the node
	}
}

// noted is the membership that the identity file has.
func noted(c *identity.Cluster) *replication.Membership {
	m := &replication.Membership{}
	list := c.Members
	if r := c.Roster; r != nil {
		m.Version, m.NextRaftID, m.Leases, list = r.Version, r.NextRaftID, leasesOf(r.Leases), r.Members
		if r.ClusterVersion > replication.ClusterVersionFormed {
			m.Raised = r.ClusterVersion
		}
	}
	for _, o := range list {
		m.NextRaftID = max(m.NextRaftID, o.RaftID+1)
		m.Members = append(m.Members, memberOf(o))
	}
	return m
}

func memberOf(o identity.Member) replication.Member {
	return replication.Member{
		ServerID: o.ServerID, RaftID: o.RaftID, Directory: replication.DirectoryID(o.DirectoryID),
		Host: o.Host, ClientPort: o.ClientPort, LogPort: o.LogPort, Learner: o.Learner, Stays: o.Stays, Retired: o.Retired,
	}
}

// rosterOf is what the identity file is to have of a membership.
func rosterOf(m *replication.Membership) *identity.Roster {
	r := &identity.Roster{Version: m.Version, NextRaftID: m.NextRaftID, ClusterVersion: m.Raised}
	if m.Leases != replication.LeasesFormed {
		r.Leases = m.Leases.String()
	}
	for _, o := range m.Members {
		r.Members = append(r.Members, identity.Member{
			ServerID: o.ServerID, RaftID: o.RaftID, DirectoryID: identity.DirectoryID(o.Directory),
			Host: o.Host, ClientPort: o.ClientPort, LogPort: o.LogPort, Learner: o.Learner, Stays: o.Stays, Retired: o.Retired,
		})
	}
	return r
}

// raftIDOf returns the raft id that its cluster has given to a folder.
func raftIDOf(id *identity.Identity) (raftID uint64, known bool) {
	c, own := id.Cluster(), id.DirectoryID()
	if c.RaftID != 0 {
		return c.RaftID, true
	}
	lists := [][]identity.Member{c.Members}
	if c.Roster != nil {
		lists = append(lists, c.Roster.Members)
	}
	for _, list := range lists {
		for _, m := range list {
			if m.DirectoryID == own {
				return m.RaftID, true
			}
		}
	}
	return 0, false
}

// place is what the members say of one server.
type place struct {
	replication.Member // the folder that is to stay; awaited if its RaftID is 0

	// Replaced tells that the folder takes the place of another one, which is retired,
	// and which has a vote that nobody can use until the new one has it.
	Replaced bool

	// Unsettled tells that its vote is of a change that is not settled yet: it counts for
	// majorities, and is not made known.
	Unsettled bool
}

// votes reports whether the server can vote.
func (p *place) votes() bool { return p.RaftID != 0 && !p.Learner && !p.Retired }

// places returns what the members say of each server, by id.
func (n *Node) places() []place { return placesOf(n.members()) }

func placesOf(m *replication.Membership) (list []place) {
	if m == nil {
		return nil
	}
	for _, o := range m.Members { // of one server: awaited, retired, present
		last := len(list) - 1
		switch {
		case last < 0 || list[last].ServerID != o.ServerID:
			list = append(list, place{Member: o})
		case o.Retired:
			list[last].Replaced = true // by the one that is awaited
		default:
			list[last] = place{Member: o, Replaced: true}
		}
	}
	for i := range list {
		if p := &list[i]; m.TakesOver(p.RaftID) {
			p.Learner, p.Replaced = true, true
		}
		list[i].Unsettled = m.Promotes(list[i].RaftID)
	}
	return list
}

// reach is how many votes there are, and how many of them this node can reach.
type reach struct{ votes, majority, reached int }

// reach counts the votes. A retired folder has one that can never be reached.
func (n *Node) reach() (r reach) {
	for _, s := range n.places() {
		if s.votes() {
			r.votes++
			if n.reaches(&s.Member) {
				r.reached++
			}
		}
		if s.Replaced || s.Retired {
			r.votes++
		}
	}
	r.majority = r.votes/2 + 1
	return r
}

// reaches reports whether this node is a member, or has a connection to it.
func (n *Node) reaches(m *replication.Member) bool {
	return n.isSelf(m) || m.RaftID != 0 && n.transport != nil && n.transport.Connected(m.RaftID)
}

// isSelf reports whether a member is this node's folder.
func (n *Node) isSelf(m *replication.Member) bool { return m.RaftID == n.raftID }

// address returns where clients reach a server, or nothing if nobody has said so.
func (n *Node) address(m *replication.Member) string {
	if port := n.clientPort(m); port != 0 {
		return joinHostPort(m.Host, port)
	}
	return ""
}

// clientPort returns the port for clients of a member, 0 if it is unknown. Clusters of
// old have none in their log: it is as configured.
func (n *Node) clientPort(m *replication.Member) int {
	if m.ClientPort != 0 {
		return m.ClientPort
	}
	if s, ok := n.configured(m.ServerID); ok {
		return s.ClientPort
	}
	return 0
}

// configured returns a server of the configuration.
func (n *Node) configured(serverID int) (Server, bool) {
	for _, s := range n.cfg.Servers {
		if s.ID == serverID {
			return s, true
		}
	}
	return Server{}, false
}

// logAddr returns where the other servers reach one.
func (n *Node) logAddr(serverID int) string {
	for _, s := range n.places() {
		if s.ServerID == serverID {
			return joinHostPort(s.Host, s.LogPort)
		}
	}
	return "an unknown address"
}

// serverID returns the operator's id of the member with the given raft id, or -1.
func (n *Node) serverID(raftID uint64) int {
	if m, ok := n.members().Find(raftID); ok {
		return m.ServerID
	}
	return -1
}
