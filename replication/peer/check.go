package peer

import (
	"fmt"
	"slices"
	"strings"

	"raftcached/replication/identity"
)

// check decides on the hello of a node that dialed this one and knows the secret. The
// sentence is for the operator of that node.
func (t *Transport) check(remote *Hello) error {
	known, err := t.checkHello(remote)
	if err != nil || !known {
		return err
	}
	return t.meet(remote)
}

// checkHello compares a hello with this node's. known tells that it is a member's.
func (t *Transport) checkHello(remote *Hello) (known bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if remote.Stream == 0 || remote.Stream >= streamEnd {
		return false, refuse("stream %d is unknown: run the same raftcached everywhere", remote.Stream)
	}
	if remote.Constants != t.self.Constants {
		return false, refuse("server %d has %+v, server %d has %+v: start both with the same limits and ticks",
			t.self.ServerID, t.self.Constants, remote.ServerID, remote.Constants)
	}
	if t.self.ClusterID == 0 {
		return false, t.checkUnformed(remote)
	}
	return true, t.checkMember(remote)
}

// checkUnformed decides while this node is not a member of a cluster, and notes
// the other's directory id.
func (t *Transport) checkUnformed(remote *Hello) error {
	if remote.ClusterID != 0 {
		if remote.Stream == StreamForm {
			return nil
		}
		if t.config.Formed {
			return refuse("server %d"+refusalStarts, t.self.ServerID)
		}
		return refuse("server %d"+refusalUnformed, t.self.ServerID)
	}
	if remote.Stream != StreamForm {
		return refuse("stream %v before the cluster was formed", remote.Stream)
	}
	if ours, theirs := serverList(t.self.Members), serverList(remote.Members); ours != theirs {
		return refuse("server %d lists the servers %s, server %d lists %s: give both the same server.json",
			t.self.ServerID, ours, remote.ServerID, theirs)
	}
	t.note(remote)
	return nil
}

// note keeps the directory id of an unformed node.
func (t *Transport) note(remote *Hello) {
	t.directories[remote.ServerID] = remote.DirectoryID
}

// checkMember decides once this node is a member of a cluster.
func (t *Transport) checkMember(remote *Hello) error {
	if remote.ClusterID != 0 && remote.ClusterID != t.self.ClusterID {
		return refuse("server %d is of cluster %016x, server %d of cluster %016x: do not mix data folders",
			t.self.ServerID, t.self.ClusterID, remote.ServerID, remote.ClusterID)
	}
	i := slices.IndexFunc(t.self.Members, func(m identity.Member) bool { return m.ServerID == remote.ServerID })
	if i < 0 {
		return refuse("server %d is not a member of the cluster, which was formed by the servers %s", remote.ServerID, serverList(t.self.Members))
	}
	m := &t.self.Members[i]
	if m.DirectoryID != remote.DirectoryID {
		return &OutdatedError{fmt.Sprintf("the data folder of server %d is not the one that the cluster was formed with, and lacks what the server has acknowledged: %s",
			remote.ServerID, remedy(remote.ServerID))}
	}
	if remote.Stream == StreamForm {
		return nil // it missed the end of the formation, and learns it by our answer
	}
	if remote.ClusterID == 0 || remote.RaftID != m.RaftID {
		return refuse("server %d calls itself member %d of cluster %016x, but is member %d of %016x",
			remote.ServerID, remote.RaftID, remote.ClusterID, m.RaftID, t.self.ClusterID)
	}
	return nil
}

// serverList writes the servers of a list as text, to show and to compare.
func serverList(members []identity.Member) string {
	words := make([]string, len(members))
	for i, m := range members {
		words[i] = fmt.Sprintf("%d at %s:%d", m.ServerID, m.Host, m.LogPort)
		if m.ClientPort != 0 {
			words[i] += fmt.Sprintf(" with port %d for clients", m.ClientPort)
		}
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}
