package node

import (
	"fmt"
	"path/filepath"
	"time"

	"raftcached/internal/admin"
	"raftcached/replication"
	"raftcached/replication/disk"
	"raftcached/replication/wal"
)

const (
	// spacePeriod is how often is looked at the room on the disk, spaceFarPeriod how
	// often while there is more than spaceFar besides twice the reserve, and spaceLogPeriod how
	// often at what the log takes.
	spacePeriod    = 100 * time.Millisecond
	spaceFarPeriod = time.Second
	spaceFar       = 8 << 30 // no disk writes that much meanwhile
	spaceLogPeriod = 10 * time.Second

	// spaceReturn is by what part of a threshold the room must exceed it until a disk
	// counts as better again, so that it does not change all the time.
	spaceReturn = 8

	// segmentsBeside is how many segments a log may take besides what it retains: the
	// first one, of which only the end may be needed, the one that is written to, and
	// the one that is made ready.
	segmentsBeside = 3
)

// spaceWatch watches the room on the disk of the data folder. Its goroutine owns it.
type spaceWatch struct {
	node     *Node
	level    replication.Space
	since    time.Time           // of the level, if it is SpaceLow
	refusing replication.Refusal // as last logged
	refused  time.Time           // since when
	looked   time.Time           // when at the log
	logBytes int64               // that it took then
	large    bool                // the log is larger than it should be, as last logged
}

// room is what was last seen of the disk of the data folder. Who asks for figures is told
// that: event loops must not wait for a disk that does not answer, nor should an operator.
type room struct {
	disk.Space
	logBytes int64
}

// noteRoom keeps what is seen of the disk, before there is a spaceWatch.
func (n *Node) noteRoom() {
	if space, known := disk.SpaceAt(n.cfg.Disk, n.cfg.DataDir); known {
		n.room.Store(&room{space, n.logBytes()})
	}
}

// reserve is how much room is left to what must be written even when writes are
// refused: the entries in flight, in two segments, and two snapshots of the items.
func (n *Node) reserve() int64 {
	if n.cfg.DiskReserveBytes > 0 {
		return n.cfg.DiskReserveBytes
	}
	return 2*n.cfg.segmentBytes() + 2*n.engine.SizeBytes()
}

// logBytesMax is what the raft log may take on the disk: what it retains, what a fast
// load adds while a snapshot of the items is written, and whole segments.
func (n *Node) logBytesMax() int64 {
	size := n.engine.SizeBytes()
	return max(n.cfg.LogRetainBytes, size) + 2*size + segmentsBeside*n.cfg.segmentBytes()
}

// segmentBytes is the size of a full segment of the raft log: an eighth of what the log
// may retain, within bounds.
func (c *Config) segmentBytes() int64 {
	return min(wal.DefaultSegmentBytes, max(wal.MinSegmentBytes, max(c.LogRetainBytes, c.Limits.MemoryBytes)/8))
}

// logBytes is what the raft log takes on the disk, or took when that could last be seen.
func (n *Node) logBytes() int64 {
	bytes, _, known := disk.Contents(n.cfg.Disk, filepath.Join(n.cfg.DataDir, "wal"))
	if last := n.room.Load(); !known && last != nil {
		return last.logBytes
	}
	return bytes
}

// spaceLevel is what a disk with so much room is like. was is what it was like before.
func spaceLevel(free, reserve int64, was replication.Space) replication.Space {
	below := func(threshold int64, already bool) bool {
		if already {
			threshold += threshold / spaceReturn
		}
		return free < threshold
	}
	switch {
	case below(reserve, was == replication.SpaceLow):
		return replication.SpaceLow
	case below(2*reserve, was != replication.SpaceAmple):
		return replication.SpaceTight
	default:
		return replication.SpaceAmple
	}
}

// watchSpace watches the disk until the node stops.
func (n *Node) watchSpace() {
	w := &spaceWatch{node: n}
	if _, known := disk.SpaceAt(n.cfg.Disk, n.cfg.DataDir); !known {
		return // files in memory
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-n.done:
			return
		case at := <-timer.C:
			timer.Reset(w.look(at))
		}
	}
}

// look compares the disk with what was found last, and logs what has changed. It returns
// when to look again.
func (w *spaceWatch) look(now time.Time) time.Duration {
	n, period := w.node, spacePeriod
	if now.Sub(w.looked) >= spaceLogPeriod {
		w.looked = now
		w.lookAtLog()
	}
	if space, known := disk.SpaceAt(n.cfg.Disk, n.cfg.DataDir); known {
		n.room.Store(&room{space, w.logBytes})
		reserve := n.reserve()
		level := spaceLevel(space.Free, reserve, w.level)
		if level != w.level || level != replication.SpaceAmple {
			n.replica.SetSpace(level, roomForSnapshot(space.Free, n.cfg.segmentBytes()))
		}
		if level != w.level {
			w.logLevel(now, level, space, reserve)
			w.level = level
		}
		if space.Free-2*reserve > spaceFar {
			period = spaceFarPeriod
		}
	}
	if refusing := n.replica.Status().Refusing; refusing != w.refusing {
		w.logRefusing(now, refusing)
		w.refusing = refusing
	}
	return period
}

// roomForSnapshot is how much of what is free a snapshot may take: the log needs a
// segment. If there is no room for that either, writes are refused and only a snapshot can
// end that, as a small one of a state that was flushed: a quarter is left to it.
func roomForSnapshot(free, segmentBytes int64) int64 { return max(free-segmentBytes, free/4) }

func (w *spaceWatch) logLevel(now time.Time, level replication.Space, space disk.Space, reserve int64) {
	log := w.node.cfg.Logger
	free := fmt.Sprintf("%s of %s free", sizeText(space.Free), sizeText(space.Total))
	switch {
	case level == replication.SpaceLow:
		w.since = now
		log.Warn(fmt.Sprintf("disk low: %s, the reserve is %s; while too few servers have room, writes are refused: make room on the disk of %q", free, sizeText(reserve), w.node.cfg.DataDir))
	case w.level == replication.SpaceLow:
		log.Info(fmt.Sprintf("disk no longer low after %v: %s", roundTime(now.Sub(w.since)), free))
	case level == replication.SpaceTight:
		log.Info(fmt.Sprintf("disk nearly low: %s, the reserve is %s; keeping only the newest snapshot and the log after it", free, sizeText(reserve)))
	}
}

// refusalTexts says why writes are refused.
var refusalTexts = map[replication.Refusal]string{
	replication.RefusalDiskFull:    "writes are refused: too few servers have room on their disks, or this one cannot write",
	replication.RefusalDiskStalled: "writes are refused: the disk of this server does not answer",
}

func (w *spaceWatch) logRefusing(now time.Time, why replication.Refusal) {
	log := w.node.cfg.Logger
	if text, ok := refusalTexts[why]; ok {
		if _, already := refusalTexts[w.refusing]; !already {
			w.refused = now
		}
		log.Error(text)
		return
	}
	log.Info(fmt.Sprintf("writes are accepted again after %v", roundTime(now.Sub(w.refused))))
}

// lookAtLog warns if the log takes more than it should.
func (w *spaceWatch) lookAtLog() {
	bytes, limit := w.node.logBytes(), w.node.logBytesMax()
	w.logBytes = bytes
	if large := bytes > limit; large != w.large {
		w.large = large
		if large {
			w.node.cfg.Logger.Warn(fmt.Sprintf("the raft log takes %s, more than the %s that logRetainMiB allows: a snapshot may be missing, see the log", sizeText(bytes), sizeText(limit)))
		} else {
			w.node.cfg.Logger.Info(fmt.Sprintf("the raft log takes %s again, at most %s are allowed", sizeText(bytes), sizeText(limit)))
		}
	}
}

// spaceNames and refusalNames are for statistics and the admin port.
var (
	spaceNames = map[replication.Space]string{
		replication.SpaceAmple: admin.SpaceAmple, replication.SpaceTight: admin.SpaceTight, replication.SpaceLow: admin.SpaceLow,
	}
	refusalNames = map[replication.Refusal]string{
		replication.RefusalDiskFull: admin.RefusedDiskFull, replication.RefusalDiskStalled: admin.RefusedDiskStalled,
	}
)
