package replication

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/identity"
)

var simHarms = flag.Int("sim.harms", simHarmsDefault, "harmed clusters that TestHarmedFolders simulates")

// simHarmsCovering is how many harmed clusters must have a server that refuses to
// start.
const simHarmsCovering = 25

// simReader gives identities random numbers from the seed.
type simReader struct{ s *simulation }

func (r simReader) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte(r.s.rng.Uint32())
	}
	return len(b), nil
}

// openIdentity takes the boot number from the node's folder.
func (n *simNode) openIdentity() {
	if !n.s.harming {
		return
	}
	id, err := identity.Open(n.fs, ".", n.id, simReader{n.s})
	n.must(err)
	n.identity, n.boot, n.met = id, id.Boot(), map[*simNode]uint64{}
}

// shakesHands reports whether two nodes speak with each other, as package peer
// decides: each compares what it remembers of the other's folder. A message of an
// earlier life finds no connection.
func (n *simNode) shakesHands(life uint64, to *simNode) bool {
	if !n.s.harming {
		return true
	}
	if n.life != life || !n.up {
		return false
	}
	if n.met[to] == to.life && to.met[n] == n.life {
		return true
	}
	if n.identity.Meet(to.identity.DirectoryID(), to.identity.Lineage()) != nil {
		return false // the other will be told when it dials
	}
	err := to.identity.Meet(n.identity.DirectoryID(), n.identity.Lineage())
	var outdated *identity.OutdatedError
	if errors.As(err, &outdated) {
		n.refuse(err)
		return false
	}
	n.must(err)
	n.met[to], to.met[n] = to.life, n.life
	return true
}

// refuse stops a node for good.
func (n *simNode) refuse(err error) {
	if !n.s.harming {
		n.must(err)
	}
	n.refusal = err.Error()
	n.up = false
	n.life++
}

// simAcked is a key that was acknowledged, and where the node was that said so.
type simAcked struct {
	key string
	at  position
}

// harm is a case of TestHarmedFolders.
type simHarm struct {
	*simulation
	acked   []simAcked
	older   []disktest.Folder // a copy of each folder, some time ago
	whole   []disktest.Folder // and after the crash, before any harm
	foreign []disktest.Folder // those of another cluster, if they were needed
	formed  []identity.DirectoryID
	done    []string // what was done, for messages
}

// TestHarmedFolders damages, empties, swaps and sets back the folders of one or more
// servers, and starts all again. Each starts, or stops with a reason; nothing that a
// majority of whole folders holds is lost, and states stay equal.
func TestHarmedFolders(t *testing.T) {
	refused := 0
	for i := range *simHarms {
		seed := *simFirst + uint64(i)
		nodes := []int{1, 3, 3, 3}[seed%4]
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			h := &simHarm{}
			if found := simulate(func() {
				h.simulation = newHarmSimulation(t, seed, nodes)
				h.run()
			}); found != "" {
				t.Fatalf("%s\nafter %s\nreplay with: go test ./replication -run '^TestHarmedFolders$' -sim.first=%d -sim.harms=1", found, strings.Join(h.done, ", "), seed)
			}
			for _, n := range h.nodes {
				if n.refusal != "" {
					refused++
				}
			}
		})
	}
	t.Logf("%d cases, %d servers refused", *simHarms, refused)
	if *simHarms >= simHarmsCovering && refused == 0 {
		t.Error("nothing was refused")
	}
}

func newHarmSimulation(t *testing.T, seed uint64, nodes int) *simulation {
	s := newSimulation(t, seed, 0, 0)
	s.harming = true
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

func (h *simHarm) run() {
	h.runUntil(h.now + time.Second)
	h.write(10 + h.rng.IntN(60))
	h.older = h.copies()
	for _, n := range h.nodes {
		h.formed = append(h.formed, n.identity.DirectoryID())
	}
	if h.rng.IntN(2) == 0 { // a start lies between the copies and now
		h.restart()
	}
	h.write(10 + h.rng.IntN(200))
	kept := h.crashAll()
	h.whole = h.copies()
	harmed := 1 + h.rng.IntN(len(h.nodes))
	for _, i := range h.rng.Perm(len(h.nodes))[:harmed] {
		h.harm(h.nodes[i])
		kept[i] = nil
	}
	// What is known of the past does not bind a majority of harmed folders.
	h.check = newSimChecker(h.simulation)
	h.model.digests = map[uint64]uint64{}
	for _, n := range h.nodes {
		h.tryStart(n)
	}
	h.settleDown()
	h.mustHave(kept)
}

// settleDown waits for what can be expected, a snapshot that is long on its way included.
func (h *simHarm) settleDown() {
	h.runUntil(h.now + 4*time.Second)
	for end := h.now + 20*time.Second; h.now < end; h.runUntil(h.now + time.Second) {
		reached := map[uint64]bool{}
		for _, n := range h.nodes {
			if n.up && n.machine.core.Status().Leader != 0 {
				reached[n.machine.applier.st.index] = true
			}
		}
		if len(reached) <= 1 {
			return
		}
	}
}

// write sets new keys at random nodes, one after the other.
func (h *simHarm) write(count int) {
	for range count {
		n := h.nodes[h.rng.IntN(len(h.nodes))]
		if !n.up {
			continue
		}
		key := fmt.Sprintf("key-%d", len(h.acked))
		c := &simClient{s: h.simulation, node: n, told: func(o simOutcome, _ *item.Result) {
			if st := n.machine.applier.st; o == simAnswered {
				h.acked = append(h.acked, simAcked{key, position{st.index, st.term}})
			}
		}}
		c.submit(engine.Op{Kind: engine.OpSet, Key: []byte(key), Value: h.value(key)})
		h.runUntil(h.now + time.Duration(h.rng.IntN(8))*time.Millisecond)
	}
	h.runUntil(h.now + 100*time.Millisecond)
}

// value is what a key has in this cluster, and in no other one.
func (h *simHarm) value(key string) []byte {
	return fmt.Appendf(nil, "%-20s of cluster %30d", key, h.seed)
}

// restart crashes and starts every node.
func (h *simHarm) restart() {
	for _, n := range h.nodes {
		n.crash()
		n.start()
		h.runUntil(h.now + 500*time.Millisecond)
	}
}

// crashAll crashes every node and returns which acknowledged keys each one holds.
func (h *simHarm) crashAll() []map[string]bool {
	kept := make([]map[string]bool, len(h.nodes))
	for i, n := range h.nodes {
		kept[i] = map[string]bool{}
		first, err := n.log.FirstIndex()
		n.must(err)
		for _, a := range h.acked {
			if term, err := n.log.Term(a.at.index); a.at.index < first || err == nil && term == a.at.term {
				kept[i][a.key] = true
			}
		}
	}
	for _, n := range h.nodes {
		n.crash()
	}
	return kept
}

// tryStart starts a node, or notes why it does not start.
func (h *simHarm) tryStart(n *simNode) {
	reason := simulate(n.start)
	if strings.HasPrefix(reason, "panic") {
		h.failf("node %d: %s", n.id, reason)
	}
	if reason == "" && len(h.nodes) > 1 && n.identity.DirectoryID() != h.formed[n.id] {
		reason = "the cluster was formed without this folder: it cannot be trusted" // as package peer says
	}
	if n.refusal = reason; reason == "" {
		return
	}
	n.up = false
	n.life++
	known := []string{"cannot be trusted", "is not complete", "is damaged", "no usable snapshot", "belongs to server", "does not belong to this data folder", "is not what this server has acknowledged"}
	if !slices.ContainsFunc(known, func(k string) bool { return strings.Contains(reason, k) }) {
		h.failf("node %d ends with a reason that helps nobody: %s", n.id, reason)
	}
}

// mustHave checks that what a majority of whole folders holds is at every node that
// has a leader, and that there is one if the whole folders are a majority.
func (h *simHarm) mustHave(kept []map[string]bool) {
	majority, whole := len(h.nodes)/2+1, 0
	for _, k := range kept {
		if k != nil {
			whole++
		}
	}
	served := false
	for _, n := range h.nodes {
		if !n.up || n.machine.core.Status().Leader == 0 {
			continue
		}
		served = true
		if n.identity.DirectoryID() != h.formed[n.id] {
			continue // a lone node that is another cluster's now, as a whole
		}
		reader := n.engine.NewReader()
		for _, a := range h.acked {
			holders := 0
			for _, k := range kept {
				if k[a.key] {
					holders++
				}
			}
			value, found := reader.View(nil, []byte(a.key), func(dst, _ []byte, it engine.Item) []byte { return append(dst, it.Value...) })
			if !found && holders >= majority {
				h.failf("node %d has lost %s, which %d whole folders held", n.id, a.key, holders)
			}
			if found && !bytes.Equal(value, h.value(a.key)) {
				h.failf("node %d answers %s with %q", n.id, a.key, value)
			}
		}
	}
	if whole >= majority && !served {
		h.failf("%d whole folders have no leader", whole)
	}
}

// folderOf is a node's folder.
func folderOf(fs *disktest.FS) disktest.Folder { return disktest.Folder{FS: fs, Dir: "."} }

// harm does something to a folder that a sound server never does.
func (h *simHarm) harm(n *simNode) {
	harms := disktest.Harms{Rand: h.rng, Source: func() (disktest.Folder, string) { return h.source(n) }}
	what, err := harms.Do(folderOf(n.fs))
	n.must(err)
	h.done = append(h.done, fmt.Sprintf("node %d: %s", n.id, what))
}

// source returns a folder that something may be taken from: an older one of the same
// server, that of another server, or one of another cluster.
func (h *simHarm) source(n *simNode) (from disktest.Folder, what string) {
	switch h.rng.IntN(3) {
	case 0:
		return h.older[n.id], "its older self"
	case 1:
		if len(h.nodes) > 1 {
			other := (n.id + 1 + h.rng.IntN(len(h.nodes)-1)) % len(h.nodes)
			return h.whole[other], fmt.Sprintf("node %d", other)
		}
	}
	if h.foreign == nil {
		h.foreign = h.otherCluster()
	}
	other := h.rng.IntN(len(h.nodes))
	return h.foreign[other], fmt.Sprintf("another cluster's node %d", other)
}

// otherCluster returns the folders of a cluster of its own, of the same servers.
func (h *simHarm) otherCluster() []disktest.Folder {
	other := &simHarm{simulation: newHarmSimulation(h.t, h.seed+1<<40, len(h.nodes))}
	other.runUntil(time.Second)
	other.write(10 + h.rng.IntN(100))
	return other.copies()
}

// copies returns a copy of each node's folder.
func (h *simHarm) copies() (all []disktest.Folder) {
	for _, n := range h.nodes {
		to := folderOf(disktest.NewCrashable())
		n.must(folderOf(n.fs).CopyTo(to))
		all = append(all, to)
	}
	return all
}
