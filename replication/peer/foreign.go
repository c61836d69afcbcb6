package peer

import (
	"fmt"
	"slices"

	"raftcached/replication/identity"
)

// ClaimedError reports that a cluster looks for this node, which is listed alone and
// has an empty data folder: it was a member with another one.
type ClaimedError struct {
	Cluster uint64
	Addrs   []string // log ports at which the cluster may be asked
}

func (e *ClaimedError) Error() string {
	return fmt.Sprintf("cluster %016x, at %v, has this server with another data folder", e.Cluster, e.Addrs)
}

// claim notes that a member of a cluster looks for this node, whose own list of servers
// says that there are no others. A node that is formed already is not given up for that:
// it has taken writes, and the other cluster may look for it by mistake.
func (t *Transport) claim(remote *Hello) {
	if len(t.self.Members) != 1 {
		return // Form asks the others
	}
	claim := &ClaimedError{Cluster: remote.ClusterID}
	here := false
	for _, m := range remote.roster().Members {
		switch {
		case m.RaftID == 0 || m.Retired:
		case m.ServerID == t.self.ServerID:
			here = m.DirectoryID != t.self.DirectoryID
		default:
			claim.Addrs = append(claim.Addrs, address(m))
		}
	}
	if !here || len(claim.Addrs) == 0 {
		return
	}
	select {
	case t.claims <- claim:
	default: // there is one
	}
}

// meetsStranger takes of which cluster a server is that was found where a peer was. It
// returns why this node must end, if a majority of its own cluster's voters has made way
// for another cluster: its data folder was put on a machine where it does not belong.
func (t *Transport) meetsStranger(peer uint64, remote *Hello) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if remote.ClusterID == 0 || remote.ClusterID == t.self.ClusterID {
		delete(t.strangers, peer)
		return nil
	}
	t.strangers[peer] = remote.ClusterID
	voters := slices.DeleteFunc(slices.Clone(t.roster.Members), func(m identity.Member) bool { return m.RaftID == 0 || m.Learner })
	found := 0
	for _, m := range voters {
		if t.strangers[m.RaftID] == remote.ClusterID {
			found++
		}
	}
	if found <= len(voters)/2 {
		return nil
	}
	return &OutdatedError{fmt.Sprintf("the data folder of server %d is of cluster %016x, and where %d of its %d voters were are servers of cluster %016x: if this server is to be one of those, %s",
		t.self.ServerID, t.self.ClusterID, found, len(voters), remote.ClusterID, remedy(t.self.ServerID))}
}
