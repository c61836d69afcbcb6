package node

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/backup"
	"raftcached/internal/metrics"
	"raftcached/protocol"
	"raftcached/replication"
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
// transport and its engine, from stageServing on it has all its parts.
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

	logRead, logTotal atomic.Int64 // bytes, while the log is read
	backup            sync.Mutex   // held while one is given out

	mu      sync.Mutex
	confirm *confirmation // the one that is being asked for, or nil
}

// reading says how much of the log was read: ", 640 of 989 MiB".
func (l *life) reading() string {
	total := l.logTotal.Load()
	if total == 0 {
		return ""
	}
	return fmt.Sprintf(", %d of %d MiB", l.logRead.Load()>>20, total>>20)
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
		return admin.StateStarting, "it reads its log" + n.life.reading()
	}
	switch status := n.replica.Status(); {
	case status.Removed:
		return admin.StateRemoved, "it is no member of the cluster any more, or another data folder has its place: stop it"
	case status.Verdict == replication.VerdictRepairing:
		return admin.StateQuarantine, "its items differ from those of a majority: it serves nobody until it has fetched them"
	case status.Verdict == replication.VerdictNoMajority:
		return admin.StateDiffer, "the items of the servers differ, and no majority has the same: no server takes writes"
	}
	ctx, cancel := context.WithTimeout(ctx, confirmPatience)
	defer cancel()
	status, err := n.confirmed(ctx)
	switch {
	case err != nil || status != protocol.StatusOK:
		return n.unconfirmed()
	case n.engine.Filling():
		return admin.StateRestoring, "a backup is being restored: until it is complete, no server has items or takes any"
	}
	return admin.StateOK, refusalTexts[n.replica.Status().Refusing]
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
	for _, m := range n.places() {
		if m.votes() && !n.reaches(&m.Member) {
			lost = append(lost, strconv.Itoa(m.ServerID))
		}
	}
	s, votes := n.replica.Status(), n.reach()
	switch {
	case votes.reached < votes.majority && len(lost) == 0:
		return admin.StateNoMajority, "a data folder that is retired has no successor yet: start the servers that are awaited"
	case votes.reached < votes.majority && len(lost) == 1:
		return admin.StateNoMajority, "it cannot reach server " + lost[0]
	case votes.reached < votes.majority:
		return admin.StateNoMajority, "it cannot reach the servers " + strings.Join(lost, ", ")
	case s.Leader == 0:
		return admin.StateNoMajority, "it knows no leader: an election takes less than a second"
	}
	if committed := max(s.Commit, s.ReadIndex); committed > s.Applied {
		return admin.StateCatchingUp, fmt.Sprintf("it has applied entry %d of %d", s.Applied, committed)
	}
	return admin.StateCatchingUp, fmt.Sprintf("it has applied entry %d, and the leader is further", s.Applied)
}

// Metrics implements admin.Node.
func (n adminNode) Metrics() http.Handler { return metrics.Handler(n.sample) }

// Status implements admin.Node.
func (n adminNode) Status(ctx context.Context) admin.Status {
	now := time.Now()
	s := admin.Status{
		StatusVersion: admin.StatusVersion, ID: n.cfg.ServerID, LeaderID: -1, Digests: []admin.Digest{},
		Version: n.cfg.Server.RaftcachedVersion, StartedAt: n.life.since, UptimeSeconds: int64(now.Sub(n.life.since).Seconds()),
		Disk: n.disk(), Servers: n.seen(), Guarded: len(n.secret) > 0, Secured: n.keys.Load() != nil, TLS: n.tlsStatus(),
	}
	s.State, s.Reason = n.Ready(ctx)
	stage := n.life.stage.Load()
	if stage >= stageReading {
		votes := n.reach()
		s.MembersVersion, s.Voters, s.Majority = n.members().Version, votes.votes, votes.majority
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
	s.WritesRefused = refusalNames[r.Refusing]
	if s.Disk != nil {
		s.Disk.ReserveBytes = n.reserve()
		s.Disk.Space = spaceNames[spaceLevel(s.Disk.FreeBytes, s.Disk.ReserveBytes, replication.SpaceAmple)]
	}
	s.Role, s.Term, s.Verdict = stateName(r.State), r.Term, r.Verdict.String()
	s.Applied = r.Applied
	if settled {
		s.Applied = current.Index
	}
	s.Commit, s.LastLog = max(r.Commit, s.Applied), max(r.LastIndex, s.Applied)
	if m, _ := n.members().Find(n.raftID); m.Learner {
		s.Role = "learner"
	}
	if r.Leader != 0 {
		s.LeaderID = n.serverID(r.Leader)
	}
	s.Leases, s.Lease = n.leases(), n.lease(&r)
	s.ClusterVersion, s.ClusterVersionKnown, s.ClusterVersionMax = n.members().ClusterVersion(), n.knownVersion(), n.versionMax()
	e := n.engine.Stats()
	s.Memory = admin.Memory{Items: e.CurrItems, Bytes: e.Bytes, LimitBytes: e.LimitMaxBytes, Digest: backup.Digest(e.Sum)}
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

// seen returns the servers as this node sees them: before it knows its cluster, those
// of its configuration.
func (n adminNode) seen() (seen []admin.Member) {
	places, known := n.places(), n.life.stage.Load() >= stageReading
	if !known {
		places = nil
		for _, m := range n.listed() {
			places = append(places, place{Member: memberOf(m)})
		}
	}
	for _, s := range places {
		m := admin.Member{
			ID: s.ServerID, Address: n.address(&s.Member), Self: known && n.isSelf(&s.Member) || !known && s.ServerID == n.cfg.ServerID,
			Learner: s.Learner || s.Unsettled, Stays: s.Stays, Awaited: s.RaftID == 0, Replaced: s.Replaced,
		}
		if s.LogPort != 0 {
			m.LogAddress = joinHostPort(s.Host, s.LogPort)
		}
		if c, ok := n.configured(s.ServerID); ok {
			m.AdminAddress = c.AdminAddr
		}
		switch {
		case m.Self:
			m.Reachable = true
			m.AdminAddress = cmp.Or(m.AdminAddress, n.cfg.AdminAddr)
		case known && n.transport != nil:
			sight := n.transport.Sight(s.RaftID)
			m.Reachable, m.Why = sight.Connected, sight.Why
			m.AdminAddress = cmp.Or(adminAt(n.transport.AdminAddr(s.RaftID), s.Host), m.AdminAddress)
			if !sight.Since.IsZero() {
				m.Since, m.Seconds = &sight.Since, time.Since(sight.Since).Seconds()
			}
			if !sight.Heard.IsZero() {
				m.HeardSeconds = new(time.Since(sight.Heard).Seconds())
			}
		}
		seen = append(seen, m)
	}
	return seen
}

// adminAt returns where the admin port of a server is that has said where it listens: a
// server that listens at all its addresses is found by its host.
func adminAt(listens, serverHost string) string {
	host, port, err := net.SplitHostPort(listens)
	if err == nil && (host == "" || net.ParseIP(host).IsUnspecified()) {
		return net.JoinHostPort(serverHost, port)
	}
	return listens
}

// disk returns the room in the file system of the data folder as last seen, or nil if it has none,
// like a folder in memory.
func (n adminNode) disk() *admin.Disk {
	seen := n.room.Load()
	if seen == nil {
		return nil
	}
	return &admin.Disk{FreeBytes: seen.Free, TotalBytes: seen.Total, LogBytes: seen.logBytes}
}
