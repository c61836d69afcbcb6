package replication

import (
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"testing"
	"testing/cryptotest"
	"time"
)

// The simulation runs a whole cluster in one goroutine and in virtual time: the
// step machines of machine, as Replica runs them, each as an actor that takes
// what is queued and carries out what it is told, with a delay now and then;
// real write-ahead logs and snapshot stores on crashable file systems in memory;
// and the real engine. Everything that may vary is drawn from one seed, so that a
// failure replays.
//
// Read sim_node_test.go (a node and its actors), sim_ship_test.go (snapshots
// between nodes), sim_members_test.go (who comes and goes), sim_client_test.go
// (clients, and what they know), sim_checker_test.go (the invariants).

const (
	simTick           = 10 * time.Millisecond
	simElectionTicks  = 20
	simHeartbeatTicks = 5
	simRequestTimeout = 2 * time.Second
	simLogRetainBytes = 8 << 10 // snapshots are frequent
	simPartBytes      = 200     // and take many parts
	simDigestEvery    = 8       // states are compared often

	simDelayMax  = 2 * time.Second
	simApplyPace = 150 * time.Microsecond // typically, until the applier looks at what there is
)

var simEpoch = time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)

// simEvent is something that happens at a virtual time; seq keeps the order of
// events of one time.
type simEvent struct {
	at  time.Duration
	seq uint64
	do  func()
}

func (e *simEvent) before(o *simEvent) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// simQueue is a heap, the next event first. It is no heap.Interface, which allocates for
// each event.
type simQueue []simEvent

func (q *simQueue) push(e simEvent) {
	h := append(*q, e)
	for i := len(h) - 1; i > 0; {
		parent := (i - 1) / 2
		if !h[i].before(&h[parent]) {
			break
		}
		h[i], h[parent] = h[parent], h[i]
		i = parent
	}
	*q = h
}

func (q *simQueue) pop() simEvent {
	h := *q
	e, last := h[0], len(h)-1
	h[0], h[last] = h[last], simEvent{}
	h = h[:last]
	for i := 0; ; {
		child := 2*i + 1
		if child+1 < last && h[child+1].before(&h[child]) {
			child++
		}
		if child >= last || !h[child].before(&h[i]) {
			break
		}
		h[i], h[child] = h[child], h[i]
		i = child
	}
	*q = h
	return e
}

// simulation is a cluster, its network and its clients.
type simulation struct {
	t     *testing.T
	seed  uint64
	bugs  bugs
	rng   *rand.Rand
	now   time.Duration
	seq   uint64
	queue simQueue
	nodes []*simNode // those that are members, or are to be

	formed []Member
	made   int               // nodes ever
	gone   []*simNode        // those that were removed, and know, or are lost
	lost   []uint64          // raft ids of those that are lost for good
	trace  *uint64           // if set, a running hash of everything that happened
	show   func(line string) // if set, is given what nodes send each other

	slowShips      bool
	stepwise       bool // a node may wait between any two steps of its raft loop, and has a clock of its own
	harming        bool // folders are harmed: nodes have identities, and may stop
	dropPermille   int
	logRetainBytes int64
	cut            map[[2]int]bool // from, to
	leases         Leases          // with trouble
	trouble        *simTrouble     // on the network, or nil
	clients        []*simClient
	order          *simOrder // of the changes that reads are checked against, or nil
	model          simModel
	check          simChecker
	stats          simStats
}

// simStats says what a run covered, so that a test can insist on it.
type simStats struct {
	crashes, torn, diskFaults, partitions                                                int
	snapshots, snapshotsInstalled, ships                                                 int
	acked, unknown, noLeader, reads, refused                                             int
	behind, behindOwn, behindNone                                                        int // reads that came with writes; behind such of the same key; sub-batches of reads only
	leased, waited, timed, leases                                                        int // reads without a message; that asked for the time; times that a lease was seen
	grants, returned, holdersInstalled                                                   int // of read leases; snapshots that nodes install which had one
	setAside                                                                             int
	rested                                                                               int // turns with several ticks
	transfers, handOvers, handedOn                                                       int
	full, snapshotsGivenUp                                                               int
	corrupted, corrected, quarantines, noMajorities, repairs, heldBack, checked, fetched int

	admitted, promoted, replaced, removed, changesMade, changesRefused, changesUnknown, told, moved, switched, joinsRefused int

	raised, programs, tooOld int // cluster versions; starts of another program; of one that does not know the version

	hinted uint64 // hints in the log, at the end
}

// simFailure is the panic that ends a simulation which found a fault.
type simFailure struct{ text string }

func newSimulation(t *testing.T, seed uint64, nodes int, bugs bugs) *simulation {
	cryptotest.SetGlobalRandom(t, seed)
	s := &simulation{t: t, seed: seed, bugs: bugs, logRetainBytes: simLogRetainBytes, rng: rand.New(rand.NewPCG(seed, 1)), cut: map[[2]int]bool{}}
	s.model = newSimModel(s)
	s.formed = formed(nodes)
	for i := range s.formed {
		s.nodes = append(s.nodes, newSimNode(s, &s.formed[i]))
	}
	s.check = newSimChecker(s)
	for _, n := range s.nodes {
		n.start()
	}
	return s
}

// failf ends the simulation with a fault that it has found.
func (s *simulation) failf(format string, args ...any) {
	panic(simFailure{fmt.Sprintf("%v ", s.now) + fmt.Sprintf(format, args...)})
}

// simulate runs do, which may find a fault, and returns what it found. Whatever
// panics in a cluster that was tampered with is a find.
func simulate(do func()) (found string) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case simFailure:
			found = r.text
		default:
			found = fmt.Sprintf("panic: %v\n%s", r, debug.Stack())
		}
	}()
	do()
	return ""
}

// mustFindNothing runs do, and fails the test with the command that replays it if
// it finds a fault.
func mustFindNothing(t *testing.T, seed uint64, do func()) {
	t.Helper()
	if found := simulate(do); found != "" {
		name, _, _ := strings.Cut(t.Name(), "/")
		t.Fatalf("%s\nreplay with: go test ./replication -run '^%s$' -sim.first=%d -sim.seeds=1 -v", found, name, seed)
	}
}

func (s *simulation) addClients(n int) {
	for i := range n {
		c := &simClient{s: s, id: i, node: s.nodes[i%len(s.nodes)]}
		s.clients = append(s.clients, c)
		s.after(time.Duration(s.rng.IntN(50))*time.Millisecond, c.next)
	}
}

func (s *simulation) after(d time.Duration, do func()) {
	s.seq++
	s.queue.push(simEvent{s.now + d, s.seq, do})
}

// note adds to the trace.
func (s *simulation) note(format string, args ...any) {
	if s.trace == nil && !simTrace {
		return
	}
	if s.trace != nil {
		h := fnv.New64a()
		_, _ = fmt.Fprintf(h, "%d %d ", *s.trace, s.now) // a hash takes everything
		_, _ = fmt.Fprintf(h, format, args...)
		*s.trace = h.Sum64()
	}
	if simTrace {
		s.t.Logf("%v %s", s.now, fmt.Sprintf(format, args...))
	}
}

// simTrace prints every event of a run with -v; for following one seed.
const simTrace = false

func (s *simulation) runUntil(end time.Duration) {
	for len(s.queue) > 0 && s.queue[0].at <= end {
		e := s.queue.pop()
		s.now = e.at
		e.do()
		s.check.event()
	}
	s.now = end
}

// delay draws how long something takes: mostly short, sometimes very long.
func (s *simulation) delay(typical time.Duration) time.Duration {
	d := time.Duration(s.rng.Int64N(int64(2 * typical)))
	if s.rng.IntN(200) == 0 {
		d = max(d, min(50*d, simDelayMax))
	}
	return d + time.Microsecond
}
