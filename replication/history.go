package replication

import (
	"errors"
	"fmt"
	"slices"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// fetchBytesMax bounds what is read back from the log at once, unless one entry
	// alone is larger.
	fetchBytesMax = 2 << 20

	// fetchedMax is how many such readings are kept: one for each peer that lags, and
	// one for the applier. With more of them some are read again.
	fetchedMax = 6
)

// Fetch asks for entries to be read from the log, away from the raft loop:
// Core.Fetched takes them. There is at most one at a time.
type Fetch struct {
	First, End uint64 // up to End, exclusive, and fetchBytesMax
	apply      bool   // they are to be applied; else a follower needs them
}

// do reads the entries.
func (f Fetch) do(log Log) ([]*pb.Entry, error) { return log.Entries(f.First, f.End, fetchBytesMax) }

// history is the log as raft reads it, on the raft loop, which must not wait for a disk.
// Entries that are not in memory are not there for raft yet: it sends and applies none,
// and asks again. Meanwhile they are fetched.
//
// A peer that lags gets them when it answers to a heartbeat, or to what it was sent
// before, and as fast as pace lets it.
type history struct {
	storage

	// heads has Entries return entries without their data: raft looks whether the
	// configuration is about to change, before it stands.
	heads bool

	applies bool // raft looks for what is to be applied

	wanted  []Fetch
	fetch   Fetch         // that is under way; Fetch{}: none
	fetched [][]*pb.Entry // the oldest first
	idle    int           // ticks since the log was last read
	bugs    bugs
}

// Entries implements raft.Storage, but may return none although there are some.
func (h *history) Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error) {
	if ents, ok := h.Recent(lo, hi, maxSize); ok {
		return ents, nil
	}
	if h.heads {
		return h.Heads(lo, hi)
	}
	switch first, err := h.FirstIndex(); {
	case err != nil:
		return nil, err
	case lo < first:
		return nil, raft.ErrCompacted // itself, unwrapped: raft compares by ==
	}
	h.idle = 0
	if ents := h.kept(lo, hi, maxSize); ents != nil {
		return ents, nil
	}
	h.want(Fetch{First: lo, End: hi, apply: h.applies})
	return nil, nil
}

// kept returns entries from lo on that were fetched.
func (h *history) kept(lo, hi, maxSize uint64) []*pb.Entry {
	for i, ents := range h.fetched {
		if len(ents) == 0 || lo < ents[0].GetIndex() || lo > ents[len(ents)-1].GetIndex() {
			continue
		}
		ents = ents[lo-ents[0].GetIndex():]
		n, size := 0, uint64(0)
		for n < len(ents) && uint64(n) < hi-lo {
			if size += uint64(proto.Size(ents[n])); size > maxSize && n > 0 {
				break
			}
			n++
		}
		if n == len(ents) { // who has asked goes on behind them
			h.fetched[i] = nil
		}
		// The log may have been replaced from some index on since they were read.
		if last := ents[n-1]; !h.bugs.has(bugFetchedOld) {
			if term, err := h.Term(last.GetIndex()); err != nil || term != last.GetTerm() {
				h.fetched[i] = nil
				return nil
			}
		}
		return ents[:n:n]
	}
	return nil
}

// want asks for a reading, unless it is asked for already. The applier is served first.
func (h *history) want(f Fetch) {
	if f.First == h.fetch.First {
		return
	}
	if i := slices.IndexFunc(h.wanted, func(other Fetch) bool { return other.First == f.First }); i >= 0 {
		f.End, f.apply = max(f.End, h.wanted[i].End), f.apply || h.wanted[i].apply
		if !f.apply {
			h.wanted[i] = f
			return
		}
		h.wanted = slices.Delete(h.wanted, i, i+1)
	}
	switch {
	case f.apply:
		h.wanted = slices.Insert(h.wanted, 0, f)
	case len(h.wanted) < fetchedMax:
		h.wanted = append(h.wanted, f)
	}
}

// next returns the reading that is to be begun, if any.
func (h *history) next() Fetch {
	if h.fetch.First != 0 || len(h.wanted) == 0 {
		return Fetch{}
	}
	h.fetch = h.wanted[0]
	h.wanted = slices.Delete(h.wanted, 0, 1)
	return h.fetch
}

// tick lets go what nobody has asked for in so many ticks.
func (h *history) tick(idleMax int) {
	if h.idle++; h.idle > idleMax {
		h.fetched = nil
	}
}

// nextFetch returns the reading that is to be begun, if any. One for a follower may have
// to wait, unless writes may be waiting for it: those of what is not committed.
func (c *Core) nextFetch() Fetch {
	h := c.history
	if h.fetch.First != 0 || len(h.wanted) == 0 {
		return Fetch{}
	}
	if f := h.wanted[0]; !f.apply && c.leads() && !c.pace.mayFetch(c.mono, f.First > c.commit) {
		return Fetch{}
	}
	return h.next()
}

// Fetched takes what Effects.Fetch has asked for. The entries are the core's from then on.
func (c *Core) Fetched(ents []*pb.Entry, err error) {
	switch {
	case err == nil, errors.Is(err, raft.ErrCompacted), errors.Is(err, raft.ErrUnavailable): // the log was replaced
		c.history.take(ents)
	default:
		c.fail(fmt.Errorf("read the raft log: %w", err))
	}
}

// take keeps what was read, if anything.
func (h *history) take(ents []*pb.Entry) {
	h.fetch = Fetch{}
	h.fetched = slices.DeleteFunc(h.fetched, func(old []*pb.Entry) bool { return len(old) == 0 })
	if len(h.fetched) == fetchedMax {
		h.fetched = slices.Delete(h.fetched, 0, 1)
	}
	if len(ents) > 0 {
		h.fetched = append(h.fetched, ents)
	}
}

// mayStand is called around what may have raft stand in an election. It sends no entries
// in the course of that: even an only voter leads only once its own vote is on its disk.
func (c *Core) mayStand(do func()) {
	c.history.heads = true
	defer func() { c.history.heads = false }()
	do()
}
