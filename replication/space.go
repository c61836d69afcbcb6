package replication

import (
	"fmt"
	"time"

	"raftcached/replication/frame"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/quorum"
)

// Space is how much room the disk of a node has.
type Space uint8

// The levels of space.
const (
	SpaceAmple Space = iota
	SpaceTight       // the log is kept as short as the state allows
	SpaceLow         // less than the reserve: only what cannot be avoided is written
)

const (
	// signalSpace is the kind of signal by which a node tells that its disk is low, and
	// a leader whether writes are refused. It is repeated every spaceSignalGap, and
	// holds for spaceReportAge.
	signalSpace    = 8
	spaceSignalGap = 500 * time.Millisecond
	spaceReportAge = 3 * time.Second
)

// Refusal is why a sub-batch was refused before it got its number, so that it
// certainly has no effect.
type Refusal uint8

// The reasons.
const (
	RefusalNone        Refusal = iota // it was not: it has waited too long
	RefusalRepairing                  // this node's state is being replaced
	RefusalNoMajority                 // the states of the nodes differ, and none has a majority
	RefusalRemoved                    // this node is no member any more
	RefusalDiskFull                   // too few voters, or not this node, have room on their disks
	RefusalDiskStalled                // this node's disk does not answer
)

// refusals are the reasons by the verdict on this node's state.
var refusals = [...]Refusal{
	VerdictOK: RefusalNone, VerdictRepairing: RefusalRepairing, VerdictNoMajority: RefusalNoMajority,
}

// spaces is the core's part in staying clear of full disks. Every node tells the
// others when its disk is low. The leader counts: while too few voters have room for
// a majority it refuses writes, and says so in its signals, so that all nodes refuse
// them before they get a number. A leader that is low itself hands over to a voter
// that is not, if there is a majority of those. A voter that is low goes on with
// raft: it writes what a majority has agreed on as long as it can, and then waits.
type spaces struct {
	own      Space
	refusing bool // this node leads, and too few voters have room
	peers    map[uint64]spaceReport
	next     time.Duration // of the signal that is repeated
}

// spaceReport is what a peer has told of its disk.
type spaceReport struct {
	low, refusing bool
	at            time.Duration
}

// SetSpace takes how much room this node's disk has.
func (c *Core) SetSpace(s Space) {
	changed := (s == SpaceLow) != (c.space.own == SpaceLow)
	c.space.own = s
	if changed {
		c.judgeSpace()
		c.signalSpace()
	}
}

// tickSpace does what is due.
func (c *Core) tickSpace() {
	c.judgeSpace()
	if (c.space.own == SpaceLow || c.space.refusing) && c.mono >= c.space.next {
		c.signalSpace()
	}
}

// judgeSpace decides whether this node, if it leads, refuses writes.
func (c *Core) judgeSpace() {
	refusing := c.leads() && !c.enoughRoom()
	if refusing != c.space.refusing {
		c.space.refusing = refusing
		c.signalSpace()
	}
}

// enoughRoom reports whether a majority of the voters has room, of those that are
// heard of. While nobody is known to be low, it is not asked who can be reached.
func (c *Core) enoughRoom() bool {
	low := c.space.own == SpaceLow
	for id := range c.space.peers {
		low = low || c.isLow(id)
	}
	if !low {
		return true
	}
	conf := c.members.Conf
	votes := make(map[uint64]bool)
	joint := quorum.JointConfig{quorum.MajorityConfig{}, quorum.MajorityConfig{}}
	for i, half := range [][]uint64{conf.GetVoters(), conf.GetVotersOutgoing()} {
		for _, id := range half {
			joint[i][id] = struct{}{}
			votes[id] = c.hasRoom(id)
		}
	}
	return joint.VoteResult(votes) == quorum.VoteWon
}

// hasRoom reports whether a voter can be reached and is not low.
func (c *Core) hasRoom(id uint64) bool {
	if id == c.cfg.ID {
		return c.space.own != SpaceLow
	}
	at, heard := c.handover.heard[id]
	return heard && c.handover.ticks-at <= 2*c.cfg.ElectionTicks && !c.isLow(id)
}

// isLow reports whether a peer has said lately that its disk is low.
func (c *Core) isLow(id uint64) bool {
	r, ok := c.space.peers[id]
	return ok && r.low && c.mono-r.at <= spaceReportAge
}

// lacksRoom reports whether this node's disk is low while a majority has room
// without it: another node should lead.
func (c *Core) lacksRoom() bool { return c.space.own == SpaceLow && c.enoughRoom() }

// refusal returns why new sub-batches of this node are refused, if they are. What
// this node cannot write it cannot apply, and so never answer: it would take a write
// for longer than half of the request timeout in vain.
func (c *Core) refusal() Refusal {
	silent := time.Duration(c.handover.silent) * c.cfg.Tick
	leader, told := c.space.peers[c.leader]
	switch {
	case silent >= c.cfg.RequestTimeout/2 && c.stalled():
		if c.space.own == SpaceLow {
			return RefusalDiskFull
		}
		return RefusalDiskStalled
	case c.space.refusing,
		c.leader != raft.None && told && leader.refusing && c.mono-leader.at <= spaceReportAge:
		return RefusalDiskFull
	}
	return RefusalNone
}

// refuseNew answers new sub-batches of this node, if they are to be refused. What frees
// room on disks is let through, unless this node could not answer it.
func (c *Core) refuseNew() {
	why := c.refusal()
	if why == RefusalNone || len(c.origin.parked) == 0 {
		return
	}
	c.origin.refuse(why != RefusalDiskFull, func(loop int, tag uint64) {
		c.eff.Expired = append(c.eff.Expired, Expiry{Loop: loop, Tag: tag, Why: why})
	})
}

// signalSpace tells the peers of this node's disk.
func (c *Core) signalSpace() {
	c.space.next = c.mono + spaceSignalGap
	for _, id := range c.peers() {
		payload := frame.AppendUint(frame.AppendArrayLen(nil, 3), signalSpace)
		payload = frame.AppendBool(frame.AppendBool(payload, c.space.own == SpaceLow), c.space.refusing)
		c.eff.Signals = append(c.eff.Signals, Forward{id, payload})
	}
}

// spaceSignalled takes what a peer tells of its disk.
func (c *Core) spaceSignalled(from uint64, r *frame.Reader) error {
	low, err := r.Bool()
	if err != nil {
		return fmt.Errorf("read space signal: %w", err)
	}
	refusing, err := r.Bool()
	if err != nil {
		return fmt.Errorf("read space signal: %w", err)
	}
	if c.space.peers == nil {
		c.space.peers = make(map[uint64]spaceReport)
	}
	c.space.peers[from] = spaceReport{low, refusing, c.mono}
	c.judgeSpace()
	return nil
}
