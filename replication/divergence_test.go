package replication

import (
	"slices"
	"testing"
)

// TestVerdictAtAnIndex: what the digests of one index say to node 1. A letter is
// a state, "." a node that has not spoken.
func TestVerdictAtAnIndex(t *testing.T) {
	for _, test := range []struct {
		states  string // of the nodes 1, 2, ...
		want    agreement
		holders []uint64
	}{
		{"a", agreementEqual, []uint64{1}},
		{"...", agreementUnknown, nil},
		{"a..", agreementUnknown, nil},
		{".aa", agreementOthers, []uint64{2, 3}},
		{"aa.", agreementEqual, []uint64{1, 2}},
		{"ab.", agreementUnknown, nil}, // the third one decides
		{"aab", agreementEqual, []uint64{1, 2}},
		{"baa", agreementMinority, []uint64{2, 3}},
		{"abc", agreementNone, nil},
		{"ab", agreementNone, nil}, // of two, nobody can tell who is right
		{"a.", agreementUnknown, nil},
		{"abb..", agreementUnknown, nil}, // two of five are no majority
		{"abbb.", agreementMinority, []uint64{2, 3, 4}},
		{"aabb.", agreementUnknown, nil},
		{"aabbc", agreementNone, nil},
		{"abcd.", agreementNone, nil},
		{".bcde", agreementNone, nil}, // whatever this node would say
		{"aabab", agreementEqual, []uint64{1, 2, 4}},
	} {
		t.Run(test.states, func(t *testing.T) {
			d := newDivergence(1, voters(len(test.states)))
			for i, state := range test.states {
				if state != '.' {
					d.note(uint64(i+1), StateDigest{Index: 512, Contents: uint64(state)})
				}
			}
			if got, holders := d.compare(512); got != test.want || !slices.Equal(holders, test.holders) {
				t.Fatalf("agreement %d held by %v, want %d by %v", got, holders, test.want, test.holders)
			}
		})
	}
}

func voters(n int) (ids []uint64) {
	for i := range n {
		ids = append(ids, uint64(i+1))
	}
	return ids
}

// TestOrderCounts: states that differ in the order of items alone are not equal.
func TestOrderCounts(t *testing.T) {
	d := newDivergence(1, voters(3))
	d.note(1, StateDigest{512, 7, 1})
	d.note(2, StateDigest{512, 7, 2})
	d.note(3, StateDigest{512, 7, 2})
	if a, _ := d.compare(512); a != agreementMinority {
		t.Fatalf("agreement %d", a)
	}
}

// TestNewestDecides: an index at which nothing is decided yet leaves the verdict
// to the one before, and a later decision replaces an earlier one.
func TestNewestDecides(t *testing.T) {
	d := newDivergence(1, voters(3))
	say := func(index uint64, states string) {
		for i, state := range states {
			if state != '.' {
				d.note(uint64(i+1), StateDigest{Index: index, Contents: uint64(state)})
			}
		}
	}
	check := func(wantIndex uint64, want agreement) {
		t.Helper()
		if index, a, _ := d.newest(); index != wantIndex || a != want {
			t.Fatalf("agreement %d at %d, want %d at %d", a, index, want, wantIndex)
		}
	}
	check(0, agreementUnknown)
	say(512, "aaa")
	check(512, agreementEqual)
	say(1024, "ab.")
	check(512, agreementEqual)
	say(1024, "..b")
	check(1024, agreementMinority)
	say(1536, "abc")
	check(1536, agreementNone)
	say(1536, ".a.") // node 2 came by the index again, after a new start
	check(1536, agreementEqual)
	say(2048, ".bb") // this node is behind
	check(1536, agreementEqual)
	say(1536, "d..")
	check(0, agreementUnknown) // not "none": by now there is a majority
	say(2048, "a..")
	check(2048, agreementMinority)
	d.forgetOwn()
	check(0, agreementUnknown)
}

// TestComparedIsBounded: the oldest digests are forgotten, whoever speaks.
func TestComparedIsBounded(t *testing.T) {
	d := newDivergence(1, voters(3))
	for i := range uint64(3 * comparedMax) {
		d.note(2, StateDigest{Index: i})
		d.note(9, StateDigest{Index: i}) // no voter
	}
	list := d.seen[2]
	if len(list) != comparedMax || list[0].Index != 2*comparedMax || len(d.seen) != 1 {
		t.Fatalf("%d digests from index %d on, of %d nodes", len(list), list[0].Index, len(d.seen))
	}
}

// TestStatesFollowTheVoters: a majority is one of those who vote now. What somebody said
// before who has no vote any more counts for nothing, and neither does what a learner
// says; this node's own state is compared whether it votes or not.
func TestStatesFollowTheVoters(t *testing.T) {
	d := newDivergence(1, voters(5))
	say := func(states string) {
		for i, state := range states {
			d.note(uint64(i+1), StateDigest{Index: 512, Contents: uint64(state)})
		}
	}
	check := func(want agreement, wantHolders ...uint64) {
		t.Helper()
		if a, holders := d.compare(512); a != want || !slices.Equal(holders, wantHolders) {
			t.Fatalf("agreement %d held by %v, want %d by %v", a, holders, want, wantHolders)
		}
	}
	say("abbaa")
	check(agreementEqual, 1, 4, 5)
	d.follow([]uint64{1, 2, 3}) // 4 and 5 were removed
	check(agreementMinority, 2, 3)
	d.follow([]uint64{1, 2, 3, 4, 5}) // and came back as other folders
	check(agreementUnknown)
	say("abbbb")
	check(agreementMinority, 2, 3, 4, 5)
	d.follow([]uint64{2, 3, 4}) // this node is a learner by now
	check(agreementMinority, 2, 3, 4)
	say("b")
	check(agreementEqual, 2, 3, 4)
}
