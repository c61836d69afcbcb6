package replication

import "time"

// snapshotNewsGap is how often the log tells of a snapshot, at most: under many writes
// there may be one each second.
const snapshotNewsGap = time.Minute

// snapshotNews follows the snapshots that a node takes, for people. One goroutine owns it.
type snapshotNews struct {
	begun     time.Time
	sizeBytes int64

	told   time.Time // when the last one was told of
	untold int       // since then
}

// follow takes a step of a snapshot before it is carried out: what is written of it goes
// back to the applier then.
func (n *snapshotNews) follow(op *snapshotWrite, now time.Time) {
	switch op.kind {
	case snapshotBegin:
		n.begun, n.sizeBytes = now, 0
	case snapshotPart:
		n.sizeBytes += int64(len(op.part))
	}
}

// taken counts one that is durable, and reports whether to tell of it, and of how many
// nobody was told since the last time.
func (n *snapshotNews) taken(now time.Time) (untold int, tell bool) {
	if !n.told.IsZero() && now.Sub(n.told) < snapshotNewsGap {
		n.untold++
		return 0, false
	}
	untold, n.told, n.untold = n.untold, now, 0
	return untold, true
}
