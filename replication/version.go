package replication

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"time"
)

// Programs of two versions may be in one cluster for the time of an upgrade. What only the
// newer one can read is not written before all members can read it. The cluster version says
// so: it is part of the members, begins with ClusterVersionFormed, and a leader raises it by
// an entry (ChangeVersion) when every member has told lately that it can do a higher one. It
// never falls. Whoever writes a format asks it first; whoever finds one that it does not know
// ends. See decision 64.
//
// A change of a format gets the next number, and a reader of both formats.

// ClusterVersionFormed is the cluster version of a cluster that has just been formed.
const ClusterVersionFormed = 1

// versionAge is for how long what a member has told of its version counts: it tells every
// clockSignalGap.
const versionAge = 3 * clockSignalGap

// ErrLater says that bytes, or the cluster, are of a later version of the program. It ends a
// node that has to apply them; what is malformed is refused.
var ErrLater = errors.New("run a newer raftcached")

var errNotAll = errors.New("not all servers run a program that can do that cluster version")

// ClusterVersion is what all members can do, as far as the log says.
func (m *Membership) ClusterVersion() uint64 { return max(ClusterVersionFormed, m.Raised) }

// checkKnown returns an error if the cluster version is higher than what a program knows.
func (m *Membership) checkKnown(known uint64) error {
	if v := m.ClusterVersion(); v > known {
		return fmt.Errorf("the cluster has version %d, this program knows %d: %w", v, known, ErrLater)
	}
	return nil
}

func (m *Membership) raise(c *MemberChange) error {
	if c.Raised <= m.ClusterVersion() {
		return fmt.Errorf("the cluster has version %d already, and it never falls", m.ClusterVersion())
	}
	m.Raised = c.Raised
	return nil
}

// version is what a node tells the others that it can do.
func (cfg *ReplicaConfig) version() uint64 {
	known := cmp.Or(cfg.KnownVersion, ClusterVersionKnown)
	return min(known, cmp.Or(cfg.VersionMax, known))
}

// versions is what the other nodes have told of the cluster versions that they can do.
type versions struct {
	told map[uint64]toldVersion // by raft id
}

type toldVersion struct {
	version uint64
	at      time.Duration
}

// toldVersion notes what a node has told.
func (c *Core) toldVersion(from, version uint64) {
	if c.versions.told == nil {
		c.versions.told = make(map[uint64]toldVersion)
	}
	if _, isMember := c.members.Find(from); isMember {
		c.versions.told[from] = toldVersion{version, c.mono}
	}
}

// keep forgets what nodes have told that are no members any more.
func (v *versions) keep(m *Membership) {
	maps.DeleteFunc(v.told, func(id uint64, _ toldVersion) bool { return m.at(id) < 0 })
}

// lost forgets what a node has told: another program may answer in its place.
func (v *versions) lost(peer uint64, bugs bugs) {
	if !bugs.has(bugVersionKept) {
		delete(v.told, peer)
	}
}

// versionOfAll is the highest cluster version that every member can do. One that has told
// nothing lately, as it is down or a program from before there were cluster versions, may be
// able to do no more than the lowest. Folders that are awaited are asked when they come, and
// retired ones never come back.
func (c *Core) versionOfAll() uint64 {
	least := c.cfg.Version
	for _, id := range c.peers() {
		told, ever := c.versions.told[id]
		switch lately := ever && c.mono-told.at <= versionAge; {
		case c.cfg.bugs.has(bugVersionOfVoters) && !c.members.votes(id):
		case lately, ever && c.cfg.bugs.has(bugVersionKept):
			least = min(least, told.version)
		default:
			return ClusterVersionFormed
		}
	}
	return least
}

// raiseVersion raises the cluster version, as the leader, as soon as that is possible. The
// change is of the members that were asked: if another one comes in first, it fails.
func (c *Core) raiseVersion() {
	if !c.leads() || c.cfg.Version <= c.members.ClusterVersion() {
		return
	}
	if v := c.versionOfAll(); v > c.members.ClusterVersion() {
		// Should it fail, it is done again.
		_ = c.proposeChange(&MemberChange{Kind: ChangeVersion, Version: c.members.Version, Raised: v})
	}
}
