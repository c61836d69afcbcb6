package node

import (
	"cmp"
	"fmt"

	"raftcached/internal/settings"
	"raftcached/replication"
	"raftcached/replication/identity"
)

// knownVersion is the highest cluster version that the program knows.
func (n *Node) knownVersion() uint64 {
	return cmp.Or(n.cfg.known, replication.ClusterVersionKnown)
}

// versionMax is the highest one that the node tells the others that it can do: the cluster
// version does not rise beyond it.
func (n *Node) versionMax() uint64 {
	return min(n.knownVersion(), cmp.Or(n.cfg.ClusterVersionMax, n.knownVersion()))
}

// checkVersion returns an error if the node's cluster, as it has noted it, has a version
// that the program does not know. What the node has not noted it finds in its log, or is
// told.
func (n *Node) checkVersion(c *identity.Cluster) error {
	if v, known := c.ClusterVersion(), n.knownVersion(); v > known {
		return settings.Errorf("the cluster has version %d, this program knows %d: %v", v, known, replication.ErrLater)
	}
	return nil
}

// logVersion says at the start which cluster version there is, and what keeps it.
func (n *Node) logVersion() {
	v, known, most := n.members().ClusterVersion(), n.knownVersion(), n.versionMax()
	log := n.cfg.Logger.With("version", v, "known", known)
	switch {
	case most < v:
		log.Warn(fmt.Sprintf("clusterVersionMax %d has no effect: the cluster has version %d already, and that never falls", n.cfg.ClusterVersionMax, v))
	case most < known:
		log.Info(fmt.Sprintf("the cluster version does not rise above %d as long as clusterVersionMax says so", most))
	default:
		log.Info("cluster version")
	}
}
