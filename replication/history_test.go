package replication

import (
	"errors"
	"strings"
	"testing"
	"time"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/wal"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// historyTest is a history over a log of which only the newest entry is in memory.
type historyTest struct {
	t   *testing.T
	log simLog
	*history
}

func newHistoryTest(t *testing.T, bugs bugs) *historyTest {
	t.Helper()
	w, err := wal.Open(disktest.NewCrashable(), "wal", wal.Options{Bootstrap: formedMembership(formed(3)).Conf, MemoryBytesMax: 1})
	must(t, err)
	t.Cleanup(func() { must(t, w.Close()) })
	log := simLog{w}
	return &historyTest{t, log, &history{storage: storage{Log: log}, bugs: bugs}}
}

// save writes entries of a term from an index on.
func (h *historyTest) save(term, from uint64, count int) {
	h.t.Helper()
	var ents []*pb.Entry
	for i := range count {
		ents = append(ents, &pb.Entry{Term: new(term), Index: new(from + uint64(i)), Data: []byte(strings.Repeat("x", 100))})
	}
	must(h.t, h.log.Save(nil, ents, nil, true))
}

// want asks for entries and returns how many there are, and the term of the last one.
func (h *historyTest) want(lo, hi uint64) (count int, term uint64) {
	h.t.Helper()
	ents, err := h.Entries(lo, hi, 1<<20)
	must(h.t, err)
	if len(ents) > 0 {
		term = ents[len(ents)-1].GetTerm()
	}
	return len(ents), term
}

// fetch carries out the next reading, and reports whether there was one.
func (h *historyTest) fetch(meanwhile func()) bool {
	h.t.Helper()
	f := h.next()
	if f.First == 0 {
		return false
	}
	ents, err := f.do(h.log)
	must(h.t, err)
	meanwhile()
	h.take(ents)
	return true
}

func nothing() {}

// TestEntriesAreFetched: raft gets no entry that is not in memory, until it was read by
// somebody else. There is one reading at a time, and each is given once.
func TestEntriesAreFetched(t *testing.T) {
	h := newHistoryTest(t, 0)
	h.save(1, 1, 10)
	if n, _ := h.want(10, 11); n != 1 {
		t.Errorf("%d entries of what is in memory", n)
	}
	if h.next().First != 0 {
		t.Error("what is in memory is read")
	}
	for range 2 {
		if n, _ := h.want(3, 9); n != 0 {
			t.Errorf("%d entries that nobody has read", n)
		}
	}
	if n, _ := h.want(5, 9); n != 0 {
		t.Errorf("%d entries that nobody has read", n)
	}
	f := h.next()
	if f != (Fetch{First: 3, End: 9}) || h.next().First != 0 {
		t.Errorf("reading %v, and another one before it is done", f)
	}
	ents, err := f.do(h.log)
	must(t, err)
	h.take(ents)
	if !h.fetch(nothing) || h.fetch(nothing) {
		t.Error("not one more reading")
	}
	for _, c := range []struct {
		lo, hi uint64
		count  int
	}{{3, 6, 3}, {5, 9, 4}, {6, 9, 3}, {8, 9, 0}} {
		if n, _ := h.want(c.lo, c.hi); n != c.count {
			t.Errorf("%d entries of %d to %d, want %d", n, c.lo, c.hi-1, c.count)
		}
	}
}

// TestTheApplierIsServedFirst: also if a follower has wanted the same before it.
func TestTheApplierIsServedFirst(t *testing.T) {
	h := newHistoryTest(t, 0)
	h.save(1, 1, 10)
	h.want(3, 9)
	h.want(5, 9)
	h.applies = true
	h.want(5, 8)
	if f := h.next(); f != (Fetch{First: 5, End: 9, apply: true}) {
		t.Errorf("the next reading is %+v", f)
	}
}

// TestFetchedEntriesOfAReplacedLog: others have replaced them since they were read.
func TestFetchedEntriesOfAReplacedLog(t *testing.T) {
	for name, bugs := range map[string]bugs{"": 0, "entries that were replaced": bugFetchedOld} {
		h := newHistoryTest(t, bugs)
		h.save(1, 1, 10)
		h.want(3, 9)
		h.fetch(func() { h.save(2, 5, 8) })
		_, term := h.want(3, 9)
		if bugs == 0 && term != 0 || bugs != 0 && term != 1 {
			t.Errorf("%q: the last entry is of term %d", name, term)
		}
		if n, _ := h.want(3, 5); bugs == 0 && n != 0 {
			t.Errorf("%d entries, of a reading that is void", n)
		}
		h.fetch(nothing)
		if n, term := h.want(3, 9); bugs == 0 && (n != 6 || term != 2) {
			t.Errorf("%d entries, the last one of term %d", n, term)
		}
	}
}

// TestHistoryOfALogThatWasCut: a peer that wants what is gone gets a snapshot.
func TestHistoryOfALogThatWasCut(t *testing.T) {
	h := newHistoryTest(t, 0)
	h.save(1, 1, 10)
	h.want(3, 9)
	must(t, h.log.Compact(4))
	if _, err := h.next().do(h.log); !errors.Is(err, raft.ErrCompacted) {
		t.Errorf("reading it: %v", err)
	}
	if _, err := h.Entries(3, 9, 1); err != raft.ErrCompacted { //nolint:errorlint // as raft does
		t.Errorf("asking for it: %v", err)
	}
	h.heads = true
	ents, err := h.Entries(5, 9, 1)
	if err != nil || len(ents) != 4 || ents[3].GetIndex() != 8 || ents[3].GetTerm() != 1 || ents[3].Data != nil {
		t.Errorf("heads are %v, %v", ents, err)
	}
}

// TestFetchedEntriesAreLetGo: nobody asks for them any more.
func TestFetchedEntriesAreLetGo(t *testing.T) {
	h := newHistoryTest(t, 0)
	h.save(1, 1, 10)
	h.want(3, 9)
	h.fetch(nothing)
	for range 3 {
		h.tick(2)
	}
	if n, _ := h.want(3, 9); n != 0 {
		t.Errorf("%d entries are kept", n)
	}
}

// TestPace: the slower writes become while followers catch up, the longer the log rests.
// When none does, writes tell what they take by themselves.
func TestPace(t *testing.T) {
	var (
		p     pace
		now   = time.Hour
		index uint64
	)
	write := func(times int, takes time.Duration) {
		for range times {
			index++
			p.proposed(index, now)
			p.proposed(index+1, now) // it is not timed
			now += takes
			p.committed(index-1, now)
			p.committed(index, now)
		}
	}
	fetches := func(what string, want time.Duration) {
		t.Helper()
		if p.rest != want {
			t.Errorf("rests for %v %s", p.rest, what)
		}
		if p.lastFetch > 0 && now-p.lastFetch < want && p.mayFetch(now, false) {
			t.Errorf("reads at once %s", what)
		}
		now = max(now, p.lastFetch+want)
		if !p.mayFetch(now, false) {
			t.Errorf("does not read after the rest %s", what)
		}
	}
	fetches("before anything was written", 0)
	write(50, 9*time.Millisecond)
	fetches("though it is not known what writes take", 0)
	now += 2 * lagSpan
	write(50, time.Millisecond)
	fetches("before anybody suffers", 0)
	write(20, 2*time.Millisecond)
	fetches("while writes take twice as long", lagRestMax)
	if p.mayFetch(now, false) || !p.mayFetch(now, true) {
		t.Error("what is not committed has to wait, or the rest does not")
	}
	p.proposed(index+1, now)
	if now += lagRestMax - 1; p.mayFetch(now, false) {
		t.Error("reads within the rest")
	}
	p.lastFetch = now + lagStuck
	if now += lagStuck + 1; !p.mayFetch(now, false) {
		t.Error("a write that waits for very long has to go on waiting")
	}
	p.entry = 0
	write(100, time.Millisecond)
	fetches("although nobody suffers", 0)
	now += 2 * lagSpan
	write(100, 4*time.Millisecond)
	p.mayFetch(now, false)
	write(20, 4*time.Millisecond)
	fetches("although writes were as slow before", 0)
	p.proposed(index+1, now)
	p.follow()
	if p.committed(index+9, now+time.Hour); p.rest != 0 || p.lagging != 0 {
		t.Error("a follower's time counts")
	}
}
