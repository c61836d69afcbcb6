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
	if done, err := n.admitted(&j); done {
		return err // it may be needed for a majority
	}
	if err := n.confirmMembers(ctx); err != nil {
		return err
	}
	if done, err := n.admitted(&j); done {
		return err
	}
	changes, err := n.admission(&j)
	if err != nil {
		return err
	}
	if s, ok := n.configured(n.cfg.ServerID); ok && n.replica.Status().Alone && s.LogPort != 0 {
		// Nobody had to find this server so far.
		if self, _ := n.replica.Members().Find(n.raftID); self.Host != s.Host || self.ClientPort != s.ClientPort || self.LogPort != s.LogPort {
			changes = append([]replication.MemberChange{{Kind: replication.ChangeMove, ServerID: s.ID, Host: s.Host, ClientPort: s.ClientPort, LogPort: s.LogPort}}, changes...)
		}
	}
	for _, c := range changes {
		if err := n.replica.Change(ctx, c); err != nil {
			return fmt.Errorf("%v server %d: %w", c.Kind, c.ServerID, err)
		}
	}
	return nil
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

// mustLead returns an error unless this node leads: all voters speak to the leader.
func (n *Node) mustLead() error {
	s := n.replica.Status()
	if s.Leader == s.ID {
		return nil
	}
	if m, ok := n.members().Find(s.Leader); ok {
		return fmt.Errorf("server %d leads, at %s, and knows who is heard", m.ServerID, joinHostPort(m.Host, m.LogPort))
	}
	return errNoMajority
}

// admitted reports whether a folder is, or was, a member: then there is nothing to do.
func (n *Node) admitted(j *peer.Joiner) (done bool, err error) {
	for _, m := range n.replica.Members().Members {
		switch {
		case m.Directory != replication.DirectoryID(j.DirectoryID):
		case m.Retired:
			return true, &peer.RemovedError{Sentence: fmt.Sprintf("the data folder of server %d was retired: remove it, and start the server again", j.ServerID)}
		default:
			return true, nil
		}
	}
	return false, nil
}

// admission returns the changes that make an empty folder a member.
func (n *Node) admission(j *peer.Joiner) ([]replication.MemberChange, error) {
	admit := replication.MemberChange{Kind: replication.ChangeAdmit, ServerID: j.ServerID, Directory: replication.DirectoryID(j.DirectoryID)}
	switch m := inPlace(n.replica.Members().Members, j.ServerID); {
	case m == nil:
	case m.RaftID != 0:
		replace, err := n.replacement(j, m)
		return []replication.MemberChange{replace, admit}, err
	case j.Host == "" || m.Host == j.Host && m.ClientPort == j.ClientPort && m.LogPort == j.LogPort:
		return []replication.MemberChange{admit}, nil
	default: // the server knows better where it is than who has prepared for it
		move := replication.MemberChange{Kind: replication.ChangeMove, ServerID: j.ServerID, Host: j.Host, ClientPort: j.ClientPort, LogPort: j.LogPort}
		return []replication.MemberChange{move, admit}, nil
	}
	flags := ""
	if j.Host != "" {
		flags = fmt.Sprintf(" --host %s --port %d --log-port %d", j.Host, j.ClientPort, j.LogPort)
	}
	return nil, &peer.RefusedError{Sentence: fmt.Sprintf("server %d is not a member of the cluster, and is not awaited: run `raftcachectl member add %d%s` first", j.ServerID, j.ServerID, flags)}
}

// inPlace returns the member that has a server's place, or is awaited there: not the
// folder that is retired. It is nil if there is none.
func inPlace(members []replication.Member, serverID int) *replication.Member {
	for i := range members {
		if m := &members[i]; m.ServerID == serverID && !m.Retired {
			return m
		}
	}
	return nil
}

// replacement returns the change by which an empty folder may take the place of one
// that is a member. It may if its operator has said so for such cases, and if nobody
// hears the other folder. Of the voters a majority has to agree, to which the other
// folder belongs, and not the empty one.
func (n *Node) replacement(j *peer.Joiner, old *replication.Member) (c replication.MemberChange, err error) {
	notLeading := n.mustLead()
	switch {
	case !j.Replaces:
		return c, &peer.OutdatedError{Sentence: fmt.Sprintf("the data folder of server %d is not the one that is a member of the cluster, and lacks what the server has acknowledged: run `raftcachectl member replace %d` at another server, and start server %d with an empty folder",
			j.ServerID, j.ServerID, j.ServerID)}
	case notLeading != nil:
		return c, notLeading
	case n.reaches(old):
		return c, fmt.Errorf("server %d runs with another data folder, which is a member of the cluster: stop it first", j.ServerID)
	}
	c = replication.MemberChange{Kind: replication.ChangeReplace, ServerID: j.ServerID, Host: old.Host, ClientPort: old.ClientPort, LogPort: old.LogPort}
	if j.Host != "" {
		c.Host, c.ClientPort, c.LogPort = j.Host, j.ClientPort, j.LogPort
	}
	return c, nil
}
