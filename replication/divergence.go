package replication

import (
	"cmp"
	"maps"
	"slices"
)

const (
	// digestEvery is how many entries lie between two comparisons of the states.
	digestEvery = 512

	// digestGapMs is the log time after which the next entry is compared too: a
	// cluster with little to do would otherwise hardly ever compare.
	digestGapMs = 10_000

	// comparedMax is how many compared indexes of each node are remembered: a
	// node that is further behind is compared once it has caught up.
	comparedMax = 64
)

// StateDigest is the digest of the replicated state at an index of the log.
type StateDigest struct {
	Index    uint64
	Contents uint64 // items, exactly-once rows, time
	Order    uint64 // in which items leave
}

// same reports whether two digests of one index are of equal states.
func (d StateDigest) same(e StateDigest) bool { return d.Contents == e.Contents && d.Order == e.Order }

// Verdict is what a comparison of states has found of this node.
type Verdict uint8

// The verdicts.
const (
	// VerdictOK: nothing is known that speaks against this node's state.
	VerdictOK Verdict = iota
	// VerdictRepairing: a majority has another state than this node, which serves
	// nobody until it has theirs.
	VerdictRepairing
	// VerdictNoMajority: the states differ, and no majority can be found that
	// has the same one. No node takes writes.
	VerdictNoMajority
)

// String names the verdict as stats raft shows it.
func (v Verdict) String() string {
	return [...]string{"ok", "repairing", "no-majority"}[v]
}

// agreement is what is known of the states at one index.
type agreement uint8

const (
	agreementUnknown  agreement = iota // too few nodes have spoken
	agreementEqual                     // a majority has this node's state
	agreementMinority                  // a majority has another state than this node
	agreementOthers                    // a majority has one state, and this node was not there yet
	agreementNone                      // no state can come to have a majority
)

// divergence remembers the digests of all voters and this node's own, and
// compares those of equal index. It is pure bookkeeping, and never asks for a
// digest: one that was lost is made up for by one of a later index.
type divergence struct {
	self   uint64
	voters []uint64
	seen   map[uint64][]StateDigest // by voter, ascending indexes, comparedMax at most
}

func newDivergence(self uint64, voters []uint64) divergence {
	return divergence{self: self, voters: voters, seen: make(map[uint64][]StateDigest, len(voters))}
}

// note records a voter's digest. One of a known index replaces it: the voter was
// started anew or repaired, and has come by that index again.
func (d *divergence) note(voter uint64, s StateDigest) {
	if voter != d.self && !slices.Contains(d.voters, voter) {
		return
	}
	list := d.seen[voter]
	i, found := find(list, s.Index)
	if found {
		list[i] = s
		return
	}
	list = slices.Insert(list, i, s)
	d.seen[voter] = list[max(0, len(list)-comparedMax):]
}

func find(list []StateDigest, index uint64) (int, bool) {
	return slices.BinarySearchFunc(list, index, func(s StateDigest, index uint64) int { return cmp.Compare(s.Index, index) })
}

// follow makes the given ones the voters. Those who have no vote any more count
// for nothing.
func (d *divergence) follow(voters []uint64) {
	d.voters = voters
	maps.DeleteFunc(d.seen, func(id uint64, _ []StateDigest) bool { return id != d.self && !slices.Contains(voters, id) })
}

// forgetOwn drops this node's digests: its state was replaced.
func (d *divergence) forgetOwn() { delete(d.seen, d.self) }

// newestOwn returns this node's digest of the highest index.
func (d *divergence) newestOwn() (StateDigest, bool) {
	list := d.seen[d.self]
	if len(list) == 0 {
		return StateDigest{}, false
	}
	return list[len(list)-1], true
}

// at returns the digest of a voter at an index.
func (d *divergence) at(voter, index uint64) (StateDigest, bool) {
	list := d.seen[voter]
	i, found := find(list, index)
	if !found {
		return StateDigest{}, false
	}
	return list[i], true
}

// compare decides on one index. holders are the voters that have the state of
// the majority, if there is one.
//
// A majority is one of all voters, not of those that have spoken: two nodes that
// agree while three are silent prove nothing. Who has not spoken counts for
// whatever could still win.
func (d *divergence) compare(index uint64) (a agreement, holders []uint64) {
	var best StateDigest
	most, known := 0, 0
	for _, voter := range d.voters {
		s, ok := d.at(voter, index)
		if !ok {
			continue
		}
		known++
		if n := d.count(s); n > most {
			most, best = n, s
		}
	}
	majority := len(d.voters)/2 + 1
	switch {
	case most >= majority:
	case most+len(d.voters)-known < majority:
		return agreementNone, nil
	default:
		return agreementUnknown, nil
	}
	for _, voter := range d.voters {
		if s, ok := d.at(voter, index); ok && s.same(best) {
			holders = append(holders, voter)
		}
	}
	switch own, ok := d.at(d.self, index); {
	case !ok:
		return agreementOthers, holders
	case own.same(best):
		return agreementEqual, holders
	default:
		return agreementMinority, holders
	}
}

// count returns how many voters have the state of s at its index.
func (d *divergence) count(s StateDigest) (n int) {
	for _, voter := range d.voters {
		if t, ok := d.at(voter, s.Index); ok && t.same(s) {
			n++
		}
	}
	return n
}

// newest decides by the highest index at which anything can be decided of this
// node: what was so before it is over, be it good or bad.
func (d *divergence) newest() (index uint64, a agreement, holders []uint64) {
	var indexes []uint64
	for _, voter := range d.voters {
		for _, s := range d.seen[voter] {
			indexes = append(indexes, s.Index)
		}
	}
	slices.Sort(indexes)
	others := false
	for _, index := range slices.Backward(slices.Compact(indexes)) {
		switch a, holders := d.compare(index); {
		case a == agreementUnknown:
		case a == agreementOthers:
			others = true
		case a == agreementNone && others: // there is a majority by now
			return 0, agreementUnknown, nil
		default:
			return index, a, holders
		}
	}
	return 0, agreementUnknown, nil
}
