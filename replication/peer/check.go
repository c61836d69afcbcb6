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
	member, err := t.checkHello(remote)
	if err != nil || !member {
		return err
	}
	return t.know(remote)
}

// checkHello compares a hello with this node's. member tells that it is a member's.
func (t *Transport) checkHello(remote *Hello) (member bool, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if remote.Stream == 0 || remote.Stream >= streamEnd {
		return false, refuse("stream %d is unknown: run the same raftcached everywhere", remote.Stream)
	}
	switch formed, empty := t.self.ClusterID != 0, remote.ClusterID == 0; {
	case !formed && t.config.Formed: // it does not say so yet: who formed with it would be of another cluster
		return false, refuseNow("server %d starts: it reads its log", t.self.ServerID)
	case !formed && !empty:
		return false, t.notYet(remote)
	case !formed:
		return false, t.checkUnformed(remote)
	case empty:
		return false, t.checkEmpty(remote)
	}
	return true, t.checkMember(remote)
}

// notYet refuses a member while this node does not take part. The hello of a form
// stream is an answer that the member has dialed for before it was one.
func (t *Transport) notYet(remote *Hello) error {
	if remote.Stream == StreamForm {
		return nil
	}
	t.claim(remote)
	return refuseNow("server %d is not a member of any cluster yet", t.self.ServerID)
}

// checkUnformed decides while neither node is a member of a cluster, as far as is
// known here.
func (t *Transport) checkUnformed(remote *Hello) error {
	if remote.Stream != StreamForm {
		return t.notYet(remote)
	}
	if remote.Constants != t.self.Constants {
		return refuse("server %d has %+v, server %d has %+v: start both with the same limits, ticks and leases",
			t.self.ServerID, t.self.Constants, remote.ServerID, remote.Constants)
	}
	if ours, theirs := serverList(t.self.Members), serverList(remote.Members); ours != theirs {
		return refuse("server %d lists the servers %s, server %d lists %s: give both the same server.json",
			t.self.ServerID, ours, remote.ServerID, theirs)
	}
	return t.checkMet(remote)
}

// checkMet refuses an unformed node for now whose data folder was not met where its server is
// listed. Two folders may have been started for one server: if each were believed by some of
// the others, there would be two clusters, and each could have a majority.
func (t *Transport) checkMet(remote *Hello) error {
	met, is := t.directories[remote.ServerID]
	if !is {
		return refuseNow("server %d has not reached server %d yet where that is listed", t.self.ServerID, remote.ServerID)
	}
	if met != remote.DirectoryID {
		return refuseNow("two servers have the id %d, with data folder %v where it is listed and with %v elsewhere: give each server an id of its own",
			remote.ServerID, met, remote.DirectoryID)
	}
	return nil
}

// checkEmpty decides on a node whose folder is of no cluster, while this one's is. It
// may see that there is a cluster, and ask to come in. Its limits do not matter: the
// cluster has some, and ticks for who has none.
func (t *Transport) checkEmpty(remote *Hello) error {
	if ours := t.self.Constants.Ticks; remote.Stream == StreamJoin && remote.Constants.Ticks != ours && remote.Constants.Ticks != (identity.Ticks{}) {
		return refuse("the cluster has ticks of %d ms and %d of them to an election, server %d has %d ms and %d: start it with those of the cluster",
			ours.TickMs, ours.ElectionTicks, remote.ServerID, remote.Constants.TickMs, remote.Constants.ElectionTicks)
	}
	if remote.Stream == StreamJoin {
		if err := t.checkVersions(remote); err != nil {
			return err
		}
	}
	if remote.Stream == StreamForm || remote.Stream == StreamJoin && t.config.Admit != nil {
		return nil
	}
	return refuse("stream %v of server %d, which is not a member of any cluster yet", remote.Stream, remote.ServerID)
}

// checkMember decides between two members of clusters.
func (t *Transport) checkMember(remote *Hello) error {
	if slices.Contains(t.config.Lost, remote.ClusterID) {
		return &OutdatedError{fmt.Sprintf("server %d is of cluster %016x, which lost its majority and was recovered as cluster %016x, of server %d: remove its data folder, and run `raftcachectl member add %d` there",
			remote.ServerID, remote.ClusterID, t.self.ClusterID, t.self.ServerID, remote.ServerID)}
	}
	if remote.ClusterID != t.self.ClusterID {
		return refuse("server %d is of cluster %016x, server %d of cluster %016x: do not mix data folders; if that of server %d was put there from elsewhere, %s",
			t.self.ServerID, t.self.ClusterID, remote.ServerID, remote.ClusterID, remote.ServerID, remedy(remote.ServerID))
	}
	if remote.Constants != t.self.Constants {
		return refuse("server %d was formed with %+v, server %d with %+v: do not mix data folders",
			t.self.ServerID, t.self.Constants, remote.ServerID, remote.Constants)
	}
	if err := t.checkVersions(remote); err != nil {
		return err
	}
	for _, m := range t.applied.Members {
		if m.RaftID != 0 && m.DirectoryID == remote.DirectoryID && (m.RaftID != remote.RaftID || m.ServerID != remote.ServerID) {
			return refuse("server %d calls itself member %d of the cluster, but its data folder is that of server %d, member %d",
				remote.ServerID, remote.RaftID, m.ServerID, m.RaftID)
		}
	}
	if t.handler.Admits(remote.RaftID, remote.DirectoryID) != nil {
		present := slices.ContainsFunc(t.applied.Members, func(m identity.Member) bool { return m.DirectoryID == remote.DirectoryID && !m.Retired })
		if present || !t.handler.Settled() { // present: SetMembers is about to say how
			return refuseNow("the members change at this moment")
		}
		return &RemovedError{removal(t.applied, remote.ServerID)}
	}
	return nil
}

// removal says what became of a server whose data folder is no member any more, and
// what helps.
func removal(r *identity.Roster, serverID int) string {
	for _, m := range slices.Backward(r.Members) { // of one server: awaited, retired, present
		switch {
		case m.ServerID != serverID || m.Retired:
		case m.RaftID != 0:
			return fmt.Sprintf("the data folder of server %d was replaced by folder %v, and is no member of the cluster any more: remove it; to add this server under another id, run `raftcachectl member add`",
				serverID, m.DirectoryID)
		default:
			return fmt.Sprintf("the data folder of server %d was retired by `raftcachectl member replace`, and an empty one is awaited in its place: remove it, and start the server again where it is to be",
				serverID)
		}
	}
	return fmt.Sprintf("server %d was removed from the cluster: to bring it back, remove its data folder, run `raftcachectl member add %d` and start it again", serverID, serverID)
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
