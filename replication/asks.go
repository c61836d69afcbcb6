package replication

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
)

const (
	// signalAsk is the kind of signal by which a node asks the leader for a change of
	// the members, or to move leadership; signalRefusal is the leader's no.
	signalAsk     = 6
	signalRefusal = 7

	// askGap is how often a node asks the same leader again.
	askGap = 100 * time.Millisecond

	// refusalsMax is how many refusals a leader remembers.
	refusalsMax = 1024

	// changeBytesMax and reasonBytesMax bound the fields of the two signals.
	changeBytesMax = 1 << 10
	reasonBytesMax = 512
)

// What signalAsk asks for.
const (
	askedChange uint64 = iota
	askedTransfer
	askedTransferAway // to AnyServer
)

// AnyServer stands for the server that is best suited.
const AnyServer = -1

// asks is the core's part in what somebody asked of this node, which need not lead:
// changes of the members, and to move leadership. The node asks whoever leads, again
// and again, until it knows the outcome or is told to forget it.
//
// It learns from the log that a change took place: an entry has the ID. Who asked is
// told when that is settled: whoever is not needed any more may be switched off. A node
// that is removed by what it asked for does not learn that from the log: a member tells
// it, upon which it stops (Replica.HandleExcluded). A refusal comes from the leader. One could come late, while another leader agrees to a later
// request for the same. So a request names the term that it is meant for, a leader
// answers all requests of its term for one ID alike, and a refusal counts if it is of
// the latest term that was asked. An earlier leader's entry cannot appear after that:
// a leader judges only when an entry of its own term is applied.
//
// Invariant: a change is applied at most once. It is planned on the membership of one
// version, and can be applied to no other one. It is planned anew, under the same ID,
// only when it is certain that another change has taken its place, and that one left
// the server alone that this one is about.
type asks struct {
	open    []ask
	refused []refusal // as a leader, in this term
}

// ask is something that was asked of this node.
type ask struct {
	MemberChange        // of a transfer only ID and ServerID
	transfer     bool   // move leadership to a server
	made         uint64 // the version of the members that the change has made; 0: none yet

	about []Member      // what the members said of the server when the change was planned
	from  uint64        // who led when the transfer was asked for; 0: nobody yet
	term  uint64        // the latest term that a leader was asked in
	next  time.Duration // when it is asked again
}

// refusal is a leader's answer to a request.
type refusal struct {
	id, version uint64
	reason      string
}

// errUnknownChange is the outcome of a change that may have been made by what a
// snapshot of another node has brought.
var errUnknownChange = errors.New("whether the members were changed as asked is not known: look at them")

// Change asks for a change of the present members, wherever the leader is. What
// became of it is told by Effects.Outcomes, under its ID, once this node has applied
// it, unless Forget comes first.
func (c *Core) Change(change *MemberChange) {
	change.Version = c.members.Version
	c.ask(ask{MemberChange: *change, about: c.members.about(change)})
}

// Transfer asks that a server with a vote becomes the leader, or with AnyServer the
// most advanced one but the leader. Effects.Outcomes tells when it is, or why not.
func (c *Core) Transfer(id uint64, serverID int) {
	c.ask(ask{MemberChange: MemberChange{ID: id, ServerID: serverID}, transfer: true})
}

// Forget ends that somebody waits for an outcome. What was asked for may still happen.
func (c *Core) Forget(id uint64) {
	c.asks.open = slices.DeleteFunc(c.asks.open, func(a ask) bool { return a.ID == id })
}

func (c *Core) ask(a ask) {
	if c.removed {
		c.outcome(a.ID, ErrRetired)
	} else if !c.pursue(&a) {
		c.asks.open = append(c.asks.open, a)
	}
}

// tickAsks asks again.
func (c *Core) tickAsks() {
	open := c.asks.open[:0]
	for _, a := range c.asks.open {
		if !c.pursue(&a) {
			open = append(open, a)
		}
	}
	c.asks.open = open
}

// pursue asks who leads, if that is due, and reports whether it knows the outcome.
func (c *Core) pursue(a *ask) (done bool) {
	switch {
	case c.leader == raft.None || a.made > 0:
		return false
	case a.transfer && c.transferred(a):
		c.outcome(a.ID, nil)
		return true
	case c.leads():
		a.term = c.term
		if err := c.decide(a); err != nil && !passes(err) {
			c.outcome(a.ID, err)
			return true
		}
		return false
	case a.term == c.term && c.mono < a.next:
		return false
	}
	a.term, a.next = c.term, c.mono+askGap
	c.eff.Signals = append(c.eff.Signals, Forward{c.leader, a.signal()})
	return false
}

// transferred reports whether leadership is where a transfer was to move it.
func (c *Core) transferred(a *ask) bool {
	if a.from == raft.None {
		a.from = c.leader
	}
	if a.ServerID == AnyServer {
		return c.leader != a.from
	}
	m, _ := c.members.Find(c.leader)
	return m.RaftID != 0 && m.ServerID == a.ServerID
}

// decide does as the leader what was asked for, or says why not.
func (c *Core) decide(a *ask) error {
	if a.transfer {
		return c.transferTo(a.ServerID)
	}
	return c.proposeChange(&a.MemberChange)
}

// passes reports whether an error says only that something is to be asked for again.
// A change of other members than these is not this node's to judge: who has planned
// it learns from the log what has become of it.
func passes(err error) bool {
	return errors.Is(err, errNotLeader) || errors.Is(err, errHandingOver) || errors.Is(err, errJoint) || errors.Is(err, errRaced)
}

// transferTo asks a voter to take over, as somebody wants.
func (c *Core) transferTo(serverID int) error {
	switch {
	case !c.leads():
		return errNotLeader
	case c.transferring() != raft.None:
		return errHandingOver
	case serverID == AnyServer:
		if !c.stepAside() {
			return errors.New("no other server with a vote can be reached")
		}
		return nil
	}
	i := c.members.present(serverID)
	switch {
	case i < 0:
		return fmt.Errorf("server %d is no member, or its data folder is awaited", serverID)
	case c.members.Members[i].Learner:
		return fmt.Errorf("server %d has no vote", serverID)
	}
	id := c.members.Members[i].RaftID
	switch {
	case id == c.cfg.ID: // the other node does not know it yet
	case !c.hears(id):
		return fmt.Errorf("server %d cannot be reached by the leader", serverID)
	case c.handover.isLeaving(id, c.cfg.ElectionTicks):
		return fmt.Errorf("server %d is about to stop", serverID)
	default:
		c.handOn(id)
	}
	return nil
}

// signal is the request for the leader.
func (a *ask) signal() []byte {
	change, what := a.MemberChange, askedChange
	if a.transfer {
		what = askedTransfer
		if change.ServerID == AnyServer {
			change.ServerID, what = 0, askedTransferAway
		}
	}
	b := frame.AppendUint(frame.AppendArrayLen(nil, 5), signalAsk)
	b = frame.AppendBytes(frame.AppendUint(b, a.term), change.encode())
	return frame.AppendUint(frame.AppendBool(b, a.Force), what)
}

// askSignalled takes a request of a member. One of another term was overtaken.
func (c *Core) askSignalled(from uint64, r *frame.Reader) error {
	in := memberReader{Reader: r}
	a := ask{term: in.uint(1<<63 - 1)}
	var change []byte
	if in.err == nil {
		change, in.err = r.Bytes(changeBytesMax)
	}
	force, what := in.bool(), in.uint(1<<63-1)
	if in.err != nil {
		return fmt.Errorf("read request for a change of members: %w", in.err)
	}
	got, err := decodeChange(change)
	if err != nil {
		return err
	}
	a.MemberChange, a.Force, a.transfer = *got, force, what != askedChange
	if what == askedTransferAway {
		a.ServerID = AnyServer
	}
	if m, ok := c.members.Find(from); !ok || m.Retired || a.term != c.term || !c.leads() {
		return nil
	}
	i := slices.IndexFunc(c.asks.refused, func(f refusal) bool { return f.id == a.ID && f.version == a.Version })
	if i >= 0 {
		c.refuse(from, &c.asks.refused[i])
		return nil
	}
	if err := c.decide(&a); err != nil && !passes(err) {
		f := refusal{a.ID, a.Version, err.Error()[:min(len(err.Error()), reasonBytesMax)]}
		if len(c.asks.refused) == refusalsMax {
			c.asks.refused = slices.Delete(c.asks.refused, 0, 1)
		}
		c.asks.refused = append(c.asks.refused, f)
		c.refuse(from, &f)
	}
	return nil
}

func (c *Core) refuse(to uint64, f *refusal) {
	b := frame.AppendUint(frame.AppendArrayLen(nil, 5), signalRefusal)
	b = frame.AppendUint(frame.AppendUint(frame.AppendUint(b, c.term), f.id), f.version)
	c.eff.Signals = append(c.eff.Signals, Forward{to, frame.AppendString(b, f.reason)})
}

// refusalSignalled takes a leader's refusal.
func (c *Core) refusalSignalled(r *frame.Reader) error {
	in := memberReader{Reader: r}
	term, id, version, reason := in.uint(1<<63-1), in.uint(1<<64-1), in.uint(1<<63-1), ""
	if in.err == nil {
		reason, in.err = r.String(reasonBytesMax)
	}
	if in.err != nil {
		return fmt.Errorf("read refusal: %w", in.err)
	}
	i := slices.IndexFunc(c.asks.open, func(a ask) bool { return a.ID == id && a.Version == version && a.term == term && a.made == 0 })
	if i >= 0 {
		c.asks.open = slices.Delete(c.asks.open, i, i+1)
		c.outcome(id, errors.New(reason))
	}
	return nil
}

// settleAsks looks for outcomes in changes that were applied, and plans anew what
// another change has overtaken.
func (c *Core) settleAsks(changes []AppliedChange) {
	open := c.asks.open[:0]
	for _, a := range c.asks.open {
		if a.transfer || !c.settled(&a, changes) {
			a.Version = c.members.Version
			open = append(open, a)
		}
	}
	c.asks.open = open
}

// settled reports whether the outcome of an ask is known now, and tells it.
func (c *Core) settled(a *ask, changes []AppliedChange) bool {
	overtaken := false // by a change that was seen
	for i := range changes {
		ch := &changes[i]
		switch {
		case ch.ID == a.ID && ch.Conf != nil:
			a.made = ch.Members.Version
		case ch.ID == a.ID && !passes(ch.Refused):
			c.outcome(a.ID, ch.Refused)
			return true
		case ch.Conf != nil && ch.Members.Version == a.Version+1:
			overtaken = true
		}
	}
	switch {
	case a.made > 0 && (c.members.settled() || c.members.Version > a.made || c.cfg.bugs.has(bugOutcomeEarly)):
		c.outcome(a.ID, nil) // a later change waits for it, too
	case a.made > 0, c.members.Version == a.Version:
		return false
	case !overtaken:
		c.outcome(a.ID, errUnknownChange)
	case !slices.Equal(a.about, c.members.about(&a.MemberChange)):
		c.outcome(a.ID, errRaced)
	case c.removed:
		c.outcome(a.ID, ErrRetired)
	default:
		return false
	}
	return true
}
