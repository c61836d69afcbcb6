package node

import (
	"context"
	"errors"
	"fmt"
	"time"

	"raftcached/protocol"
	"raftcached/replication"
	"raftcached/replication/peer"
)

// errNoMajority refuses a folder until a majority answers again: who the members are is
// not sure.
var errNoMajority = errors.New("no majority of the servers answers")

// errEnding refuses a folder until it asks another server.
var errEnding = errors.New("this server stops")

// admit makes the data folder of a server that asks for it a member. Only what a
// majority confirms counts for a refusal that stays, and nothing that ends this server,
// like its own removal. See peer.Config.
func (n *Node) admit(ctx context.Context, j peer.Joiner) error {
	err := n.letIn(ctx, j)
	if n.replica.Err() != nil {
		return errEnding
	}
	return err
}

func (n *Node) letIn(ctx context.Context, j peer.Joiner) error {
	switch a, _ := n.admission(&j); a {
	case replication.AdmissionMember, replication.AdmissionRetired:
		return n.refusal(a, &j) // without a majority, for which it may be needed
	}
	if err := n.confirmMembers(ctx); err != nil {
		return err
	}
	a, changes := n.admission(&j)
	if a != replication.AdmissionGranted {
		return n.refusal(a, &j)
	}
	if move, needed := n.moveOfLone(); needed {
		changes = append([]replication.MemberChange{move}, changes...)
	}
	for _, c := range changes {
		if err := n.replica.Change(ctx, c); err != nil {
			return fmt.Errorf("%v server %d: %w", c.Kind, c.ServerID, err)
		}
	}
	return nil
}

// admission decides by what this node knows.
func (n *Node) admission(j *peer.Joiner) (replication.Admission, []replication.MemberChange) {
	s, members := n.replica.Status(), n.replica.Members()
	return members.Admission(&replication.Newcomer{
		ServerID: j.ServerID, Directory: replication.DirectoryID(j.DirectoryID), Host: j.Host, ClientPort: j.ClientPort, LogPort: j.LogPort, Replaces: j.Replaces,
	}, replication.Vantage{Leads: s.Leader == s.ID, Hears: func(raftID uint64) bool {
		m, ok := members.Find(raftID)
		return ok && n.reaches(&m)
	}})
}

// refusal says why a folder is not let in, or nothing if it is a member.
func (n *Node) refusal(a replication.Admission, j *peer.Joiner) error {
	switch a {
	case replication.AdmissionMember:
		return nil
	case replication.AdmissionRetired:
		return &peer.RemovedError{Sentence: fmt.Sprintf("the data folder of server %d was retired: remove it, and start the server again", j.ServerID)}
	case replication.AdmissionOutdated:
		return &peer.OutdatedError{Sentence: fmt.Sprintf("the data folder of server %d is not the one that is a member of the cluster, and lacks what the server has acknowledged: run `raftcachectl member replace %d` at another server, and start server %d with an empty folder",
			j.ServerID, j.ServerID, j.ServerID)}
	case replication.AdmissionElsewhere:
		return n.whoLeads()
	case replication.AdmissionLater:
		return fmt.Errorf("server %d runs with another data folder, which is a member of the cluster: stop it first", j.ServerID)
	}
	flags := ""
	if j.Host != "" {
		flags = fmt.Sprintf(" --host %s --port %d --log-port %d", j.Host, j.ClientPort, j.LogPort)
	}
	return &peer.RefusedError{Sentence: fmt.Sprintf("server %d is not a member of the cluster, and is not awaited: run `raftcachectl member add %d%s` first", j.ServerID, j.ServerID, flags)}
}

// whoLeads says whom a folder is to ask.
func (n *Node) whoLeads() error {
	if m, ok := n.members().Find(n.replica.Status().Leader); ok && !n.isSelf(&m) {
		return fmt.Errorf("server %d leads, at %s, and knows who is heard", m.ServerID, joinHostPort(m.Host, m.LogPort))
	}
	return errNoMajority
}

// moveOfLone returns the change by which a lone server is where its configuration says:
// nobody had to find it so far.
func (n *Node) moveOfLone() (c replication.MemberChange, needed bool) {
	s, ok := n.configured(n.cfg.ServerID)
	self, _ := n.replica.Members().Find(n.raftID)
	if !ok || s.LogPort == 0 || !n.replica.Status().Alone {
		return c, false
	}
	c = replication.MemberChange{Kind: replication.ChangeMove, ServerID: s.ID, Host: s.Host, ClientPort: s.ClientPort, LogPort: s.LogPort}
	return c, self.Host != s.Host || self.ClientPort != s.ClientPort || self.LogPort != s.LogPort
}

// confirmMembers returns when a majority has confirmed that no other members than this
// node's were agreed on before the call.
func (n *Node) confirmMembers(ctx context.Context) error {
	if status, err := n.client.Confirm(ctx); err != nil || status != protocol.StatusOK {
		return errNoMajority
	}
	index, _ := n.replica.Digest() // the state is that new, and the members may follow a little later
	if n.awaitMembers(ctx, index) != nil {
		return errNoMajority
	}
	return nil
}

// errInQuarantine tells that the state does not go on.
var errInQuarantine = errors.New("this server is in quarantine")

// awaitMembers returns when what is made known of the members is of an index or later.
func (n *Node) awaitMembers(ctx context.Context, index uint64) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for s := n.replica.Status(); s.Applied < index || s.MembersVersion > n.replica.Members().Version; s = n.replica.Status() {
		if s.Verdict == replication.VerdictRepairing {
			return errInQuarantine
		}
		select {
		case <-tick.C:
		case <-n.replica.Done():
			return n.replica.Err()
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

// awaitLeader returns when the node knows a leader, so that no client is told at a start
// that there is none. It waits as long as a request would: without a majority the
// clients are served too, so that they learn why.
func (n *Node) awaitLeader(ctx context.Context) error {
	tick, enough := time.NewTicker(time.Millisecond), time.NewTimer(n.cfg.RequestTimeout)
	defer tick.Stop()
	defer enough.Stop()
	for {
		if s := n.replica.Status(); s.Leader != 0 || s.Removed || s.Verdict != replication.VerdictOK {
			return nil
		}
		select {
		case <-tick.C:
		case <-enough.C:
			return nil
		case <-n.replica.Done():
			return n.pastError(n.replica.Err())
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
