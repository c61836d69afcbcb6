package peer

import (
	"context"

	"raftcached/replication/identity"
)

// senders are the persistent streams to one peer.
type senders struct {
	peer                     identity.Member
	control, append, forward *sender
	cancel                   context.CancelFunc
}

// Join lets this node, which is a member of the cluster, take part under its raft
// id. From now on it connects to its peers, and h receives what they send. Where the
// peers are is what the newest roster says; who may be heard, h decides.
func (t *Transport) Join(c identity.Cluster, raftID uint64, h Handler) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.handler = h
	t.self.ClusterID, t.self.RaftID, t.self.Constants, t.self.Members = c.ID, raftID, c.Constants, c.Members
	formed := &identity.Roster{Members: c.Members, ClusterVersion: formedVersion}
	if t.applied == nil {
		t.applied = formed
	}
	for _, r := range []*identity.Roster{formed, c.Roster} {
		if r != nil && (t.roster == nil || r.Version > t.roster.Version) {
			t.roster = r
		}
		if r != nil {
			t.raiseVersion(r)
		}
	}
	t.connect()
}

// SetMembers follows a change of the members, as this node has applied it: peers that
// came are dialed, those that moved are dialed anew, and those that were removed or
// retired are not heard any more. It does not block. The roster must not be changed.
func (t *Transport) SetMembers(r *identity.Roster) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.applied = r
	t.raiseVersion(r)
	if t.roster == nil || r.Version > t.roster.Version {
		t.roster = r
	}
	if t.handler == nil {
		return // Join connects
	}
	t.connect()
	for k, conn := range t.accepted {
		if t.handler.Admits(k.raftID, conn.directory) != nil {
			_ = conn.Close() // the peer dials again, and is told why
			delete(t.accepted, k)
		}
	}
}

// learn takes the roster of a peer that is admitted. What is newer in it says where
// peers are, which this node may not have applied yet, and no more than that.
func (t *Transport) learn(r *identity.Roster) error {
	t.mu.Lock()
	newer := t.roster != nil && r.Version > t.roster.Version
	if newer {
		t.roster = r
		t.connect()
	}
	t.mu.Unlock()
	if !newer {
		return nil
	}
	return t.config.Memory.KeepRoster(r)
}

// connect makes the senders those to the present peers. t.mu is held.
func (t *Transport) connect() {
	if t.ctx.Err() != nil {
		return
	}
	want := map[uint64]identity.Member{}
	// Whoever has a vote as far as this node has applied the log may be needed, even if
	// others know already that it was removed.
	for _, r := range []*identity.Roster{t.applied, t.roster} {
		for _, m := range r.Members {
			if m.RaftID != 0 && m.RaftID != t.self.RaftID && !m.Retired {
				want[m.RaftID] = m
			}
		}
	}
	for id, s := range t.senders {
		if m, stays := want[id]; !stays || address(m) != address(s.peer) {
			s.cancel()
			delete(t.senders, id)
		}
	}
	for id, m := range want {
		if t.senders[id] == nil {
			t.senders[id] = t.start(m)
		}
	}
}

// start starts to dial a peer.
func (t *Transport) start(m identity.Member) *senders {
	ctx, cancel := context.WithCancel(t.ctx)
	s := &senders{
		peer: m, cancel: cancel,
		control: newSender(ctx, t, m, StreamControl, controlBytesMax),
		append:  newSender(ctx, t, m, StreamAppend, appendBytesMax),
		forward: newSender(ctx, t, m, StreamForward, forwardBytesMax),
	}
	for _, s := range []*sender{s.control, s.append, s.forward} {
		t.wg.Go(s.run)
	}
	return s
}

// to returns the streams to a peer, or nil.
func (t *Transport) to(raftID uint64) *senders {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.senders[raftID]
}
