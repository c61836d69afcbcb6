package replication

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
	"raftcached/replication/identity"
)

var simHarms = flag.Int("sim.harms", simHarmsDefault, "harmed clusters that TestHarmedFolders simulates")

// simHarmsDefault is few: a thousand take half a minute.
const simHarmsDefault = 100

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
	acked  []simAcked
	copies []*disktest.FS // of each folder, older
	formed []identity.DirectoryID
	done   []string // what was done, for messages
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
	if *simHarms >= simHarmsDefault && refused == 0 {
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
	for _, n := range h.nodes {
		h.copies = append(h.copies, h.copyOf(n))
		h.formed = append(h.formed, n.identity.DirectoryID())
	}
	if h.rng.IntN(2) == 0 { // a start lies between the copies and now
		h.restart()
	}
	h.write(10 + h.rng.IntN(200))
	kept := h.crashAll()
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
	h.runUntil(h.now + 4*time.Second)
	h.mustHave(kept)
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
		c.submit(engine.Op{Kind: engine.OpSet, Key: []byte(key), Value: make([]byte, 60)})
		h.runUntil(h.now + time.Duration(h.rng.IntN(8))*time.Millisecond)
	}
	h.runUntil(h.now + 100*time.Millisecond)
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
	known := []string{"cannot be trusted", "is not complete", "is damaged", "no usable snapshot", "belongs to server", "is not what this server has acknowledged"}
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
		reader := n.engine.NewReader()
		for _, a := range h.acked {
			holders := 0
			for _, k := range kept {
				if k[a.key] {
					holders++
				}
			}
			if holders < majority {
				continue
			}
			if _, found := reader.View(nil, []byte(a.key), func(dst, _ []byte, _ engine.Item) []byte { return dst }); !found {
				h.failf("node %d has lost %s, which %d whole folders held", n.id, a.key, holders)
			}
		}
	}
	if whole >= majority && !served {
		h.failf("%d whole folders have no leader", whole)
	}
}

// harm does something to a folder that a sound server never does.
func (h *simHarm) harm(n *simNode) {
	fs := n.fs
	names := h.files(fs)
	name := names[h.rng.IntN(len(names))]
	older := h.copies[n.id]
	kind := h.rng.IntN(9)
	h.done = append(h.done, fmt.Sprintf("harm %d of node %d (%s)", kind, n.id, name))
	switch kind {
	case 0: // the log is gone
		h.remove(fs, "wal")
	case 1: // snapshots are gone
		h.remove(fs, "snap")
	case 2:
		n.must(fs.Remove(name))
	case 3, 4, 5:
		b, err := disk.ReadFile(fs, name)
		n.must(err)
		n.must(disk.WriteFileAtomic(fs, name, h.damage(b, kind)))
	case 6: // all is older
		n.fs = older
	case 7: // a part is older
		for _, dir := range []string{"wal", "snap"} {
			h.remove(fs, dir)
			h.copyFolder(fs, older, dir)
		}
	case 8: // all is gone
		n.fs = disktest.NewCrashable()
	}
}

// damage flips a bit, cuts the end, or loses a part.
func (h *simHarm) damage(b []byte, kind int) []byte {
	if len(b) == 0 {
		return b
	}
	at := h.rng.IntN(len(b))
	switch kind {
	case 3:
		b[at] ^= 1 << h.rng.IntN(8)
	case 4:
		b = b[:at]
	default:
		clear(b[at:min(len(b), at+1+h.rng.IntN(2000))])
	}
	return b
}

// files returns the names of all files that matter.
func (h *simHarm) files(fs disk.FS) (names []string) {
	for _, dir := range []string{"", "wal", "snap"} {
		list, err := fs.List(cmpDir(dir))
		if err != nil {
			continue // there is none yet
		}
		for _, name := range list {
			if name = filepath.Join(dir, name); name == "identity" || strings.HasSuffix(name, ".wal") || strings.HasSuffix(name, ".snap") {
				names = append(names, name)
			}
		}
	}
	return names
}

func cmpDir(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

func (h *simHarm) remove(fs disk.FS, dir string) {
	list, err := fs.List(dir)
	if err != nil {
		return
	}
	for _, name := range list {
		if err := fs.Remove(filepath.Join(dir, name)); err != nil {
			h.failf("%v", err)
		}
	}
}

// copyOf returns a copy of a node's folder.
func (h *simHarm) copyOf(n *simNode) *disktest.FS {
	to := disktest.NewCrashable()
	h.copyFolder(to, n.fs, "")
	h.copyFolder(to, n.fs, "wal")
	h.copyFolder(to, n.fs, "snap")
	return to
}

func (h *simHarm) copyFolder(to, from disk.FS, dir string) {
	if err := disk.MakeDir(to, cmpDir(dir)); err != nil {
		h.failf("%v", err)
	}
	for _, name := range h.files(from) {
		if filepath.Dir(name) != cmpDir(dir) {
			continue
		}
		b, err := disk.ReadFile(from, name)
		if err == nil {
			err = disk.WriteFileAtomic(to, name, b)
		}
		if err != nil {
			h.failf("%v", err)
		}
	}
}
