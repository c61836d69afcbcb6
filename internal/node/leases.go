package node

import (
	"cmp"

	"raftcached/internal/admin"
	"raftcached/replication"
	"raftcached/replication/identity"

	"go.etcd.io/raft/v3"
)

// leasesOff is the setting leases that has no name in the constants of a cluster.
const leasesOff = "off"

// leasesOf returns a value of the setting leases as replication has it; of no value, that
// with which the cluster was formed.
func leasesOf(leases string) replication.Leases {
	for l := replication.LeasesOff; l <= replication.LeasesAll; l++ {
		if l.String() == leases {
			return l
		}
	}
	return replication.LeasesFormed
}

// leasesIn returns the setting leases of a cluster, as the log has changed it.
func leasesIn(c *identity.Cluster, m *replication.Membership) string {
	if m.Leases != replication.LeasesFormed {
		return m.Leases.String()
	}
	return cmp.Or(string(c.Constants.Leases), leasesOff)
}

// leases returns the setting leases of the node's cluster.
func (n *Node) leases() string { return leasesIn(n.identity.Cluster(), n.members()) }

// lease returns what the node has, as its admin port tells it.
func (n *Node) lease(s *replication.Status) string {
	switch holds := n.replica.Gate().Holds(); {
	case holds && s.State == raft.StateLeader:
		return admin.LeaseLeader
	case holds: // also for a moment after leases are off
		return admin.LeaseHolder
	case n.leases() == leasesOff:
		return admin.LeaseOff
	}
	return admin.LeaseNone
}

// adoptLeases takes what the cluster was formed with. What came of it is in the log, and
// noted in the identity file.
func (n *Node) adoptLeases(c *identity.Cluster) {
	formed := cmp.Or(string(c.Constants.Leases), leasesOff)
	if has := leasesIn(c, noted(c)); has != cmp.Or(n.cfg.Leases, leasesOff) && len(n.cfg.Servers) > 0 {
		n.cfg.Logger.Warn("the configured leases have no effect: change those of the cluster with `raftcachectl leases`",
			"configured", n.cfg.Leases, "cluster", has)
	}
	n.cfg.Leases = formed
}
