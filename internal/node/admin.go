package node

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/internal/admin"
	"raftcached/protocol"
	"raftcached/replication"

	"golang.org/x/sys/unix"
)

// confirmPatience is how long the admin port waits for a majority's confirmation: a
// multiple of what one takes, less than what a probe waits, and about an election.
const confirmPatience = 500 * time.Millisecond

// How often, and how far apart, the state is asked for its digest.
const (
	stateTries = 100
	stateRetry = time.Millisecond
)

// The stages of a start. From stageReading on the node knows its members and has its
// transport, from stageServing on it has all its parts.
const (
	stageForming int32 = iota
	stageReading
	stageServing
)

// life is how far a node is between its start and its end.
type life struct {
	since    time.Time
	stage    atomic.Int32
	stopping atomic.Bool

	mu      sync.Mutex
	confirm *confirmation // the one that is being asked for, or nil
}

// confirmation is a question to the majority that several may wait for.
type confirmation struct {
	done   chan struct{} // closed when the rest is valid
	status protocol.Status
	err    error
}

// adminNode is the node as its admin port shows it.
type adminNode struct{ *Node }

// Ready implements admin.Node.
func (n adminNode) Ready(ctx context.Context) (state, reason string) {
	switch stage := n.life.stage.Load(); {
	case n.life.stopping.Load():
		return admin.StateStopping, "it answers what was asked, and stops"
	case stage == stageForming && len(n.cfg.Servers) > 1:
		return admin.StateStarting, "it waits until it knows its cluster: at the first start that takes all servers that are listed"
	case stage < stageServing:
		return admin.StateStarting, "it reads its log"
	}
	switch n.replica.Status().Verdict {
	case replication.VerdictRepairing:
		return admin.StateQuarantine, "its items differ from those of a majority: it serves nobody until it has fetched them"
	case replication.VerdictNoMajority:
		return admin.StateDiffer, "the items of the servers differ, and no majority has the same: no server takes writes"
	}
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	status, err := n.confirmed(ctx)
	if err == nil && status == protocol.StatusOK {
		return admin.StateOK, ""
	}
	return n.unconfirmed()
}

// confirmed asks the majority for a confirmation, or waits for the one that is being
// asked for already: probes must not pile up while there is no majority.
func (n adminNode) confirmed(ctx context.Context) (protocol.Status, error) {
	n.life.mu.Lock()
	c := n.life.confirm
	if c == nil {
		c = &confirmation{done: make(chan struct{})}
		n.life.confirm = c
		go func() {
			c.status, c.err = n.client.Confirm(context.Background()) // it ends by the request timeout
			n.life.mu.Lock()
			n.life.confirm = nil
			n.life.mu.Unlock()
			close(c.done)
		}()
	}
	n.life.mu.Unlock()
	select {
	case <-c.done:
		return c.status, c.err
	case <-ctx.Done():
		return protocol.StatusNone, ctx.Err()
	}
}

// unconfirmed says why no majority has confirmed.
func (n adminNode) unconfirmed() (state, reason string) {
	var lost []string
	for _, m := range n.seen() {
		if !m.Reachable {
			lost = append(lost, strconv.Itoa(m.ID))
		}
	}
	s := n.replica.Status()
	switch majority := len(n.members)/2 + 1; {
	case len(n.members)-len(lost) < majority && len(lost) == 1:
		return admin.StateNoMajority, "it cannot reach server " + lost[0]
	case len(n.members)-len(lost) < majority:
		return admin.StateNoMajority, "it cannot reach the servers " + strings.Join(lost, ", ")
	case s.Leader == 0:
		return admin.StateNoMajority, "it knows no leader: an election takes less than a second"
	}
	return admin.StateCatchingUp, fmt.Sprintf("it has applied its log up to %d, and the leader is further", s.Applied)
}

// Status implements admin.Node.
func (n adminNode) Status(ctx context.Context) admin.Status {
	now := time.Now()
	s := admin.Status{
		StatusVersion: admin.StatusVersion, ID: n.cfg.ServerID, LeaderID: -1, Digests: []admin.Digest{},
		Version: n.cfg.Server.RaftcachedVersion, StartedAt: n.life.since, UptimeSeconds: int64(now.Sub(n.life.since).Seconds()),
		Disk: freeDisk(n.cfg.DataDir), Servers: n.seen(),
	}
	s.State, s.Reason = n.Ready(ctx)
	stage := n.life.stage.Load()
	if stage >= stageReading {
		s.Cluster = fmt.Sprintf("%016x", n.identity.Cluster().ID)
	}
	if stage >= stageServing {
		n.addReplica(&s)
	}
	return s
}

// addReplica adds what the replica and the engine know.
func (n adminNode) addReplica(s *admin.Status) {
	r := n.replica.Status()
	current, settled := n.state()
	s.Role, s.Term, s.Verdict = stateName(r.State), r.Term, r.Verdict.String()
	s.Applied = r.Applied
	if settled {
		s.Applied = current.Index
	}
	s.Commit, s.LastLog = max(r.Commit, s.Applied), max(r.LastIndex, s.Applied)
	if r.Leader != 0 {
		s.LeaderID = n.serverID(r.Leader)
	}
	e := n.engine.Stats()
	s.Memory = admin.Memory{Items: e.CurrItems, Bytes: e.Bytes, LimitBytes: e.LimitMaxBytes}
	if r.Digests != nil {
		for _, d := range *r.Digests {
			if !settled || d.Index < current.Index {
				s.Digests = append(s.Digests, digestOf(d))
			}
		}
	}
	if settled {
		s.Digests = append(s.Digests, digestOf(current))
	}
}

// state waits for an entry that is being applied, but not for a snapshot that
// replaces the state: that may take long, and is worth a status too.
func (n adminNode) state() (replication.StateDigest, bool) {
	for range stateTries {
		if s, ok := n.replica.State(); ok {
			return s, true
		}
		time.Sleep(stateRetry)
	}
	return replication.StateDigest{}, false
}

func digestOf(d replication.StateDigest) admin.Digest {
	return admin.Digest{Index: d.Index, Contents: fmt.Sprintf("%016x", d.Contents), Order: fmt.Sprintf("%016x", d.Order)}
}

// seen returns the servers as this node sees them.
func (n adminNode) seen() []admin.Member {
	var seen []admin.Member
	formed := n.life.stage.Load() >= stageReading
	for _, s := range n.cfg.Servers {
		m := admin.Member{ID: s.ID, Address: joinHostPort(s.Host, s.ClientPort), AdminAddress: s.AdminAddr, Self: s.ID == n.cfg.ServerID}
		if s.LogPort != 0 {
			m.LogAddress = joinHostPort(s.Host, s.LogPort)
		}
		switch {
		case m.Self:
			m.Reachable = true
			m.AdminAddress = cmp.Or(m.AdminAddress, n.cfg.AdminAddr)
		case formed && n.transport != nil:
			sight := n.transport.Sight(n.raftID(s.ID))
			m.Reachable, m.Why = sight.Connected, sight.Why
			if !sight.Since.IsZero() {
				m.Since, m.Seconds = &sight.Since, time.Since(sight.Since).Seconds()
			}
		}
		seen = append(seen, m)
	}
	slices.SortFunc(seen, func(a, b admin.Member) int { return a.ID - b.ID })
	return seen
}

// freeDisk returns the room in a folder's file system, or nil if it has none, like
// a folder in memory.
func freeDisk(dir string) *admin.Disk {
	var fs unix.Statfs_t
	if err := unix.Statfs(dir, &fs); err != nil {
		return nil
	}
	return &admin.Disk{FreeBytes: int64(fs.Bavail) * fs.Bsize, TotalBytes: int64(fs.Blocks) * fs.Bsize}
}
