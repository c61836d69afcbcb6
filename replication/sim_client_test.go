package replication

import (
	"fmt"
	"strings"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"
)

// simOutcome is what a client of the simulation learns.
type simOutcome uint8

const (
	simAnswered simOutcome = iota // by the engine's result
	simUnknown                    // may or may not have happened
	simNoLeader                   // certainly has not happened
	simRefused                    // so, because of the verdict on the node's state
)

// simListKeys are lists to which clients append tokens of their own. Whether a
// write was lost, doubled or reordered shows in them.
var simListKeys = []string{"list-a", "list-b"}

// simClient has one request outstanding at a time, at any node.
type simClient struct {
	s    *simulation
	id   int
	node *simNode
	n    int // requests so far

	token, list string // of the append that is outstanding
	lock        string // of the add that is outstanding
	began       time.Duration
	mustSee     []string // tokens acknowledged before the outstanding read began

	// told and toldRead, if set, take the outcome instead of the model; results those of
	// all operations and reads of a sub-batch.
	told     func(simOutcome, *item.Result)
	results  func(*engine.Results)
	toldRead func(ok bool)

	asked time.Duration // when it has asked for the time, on the node's clock; 0: it has not
}

// next sends another request, to another node now and then.
func (c *simClient) next() {
	s := c.s
	if s.model.stopped {
		return
	}
	if s.rng.IntN(10) == 0 || !c.node.up {
		c.node = s.nodes[s.rng.IntN(len(s.nodes))]
	}
	n := c.node
	if !n.up || n.paused || n.draining {
		s.after(50*time.Millisecond, c.next)
		return
	}
	c.n++
	c.began = s.now
	c.token, c.lock = "", ""
	c.list = simListKeys[s.rng.IntN(len(simListKeys))]
	switch s.rng.IntN(10) {
	case 0, 1, 2:
		c.mustSee = s.model.acked[c.list]
		n.read(c)
	case 3:
		c.lock = fmt.Sprintf("lock-%d", s.model.locks/len(s.clients))
		s.model.locks++
		c.submit(engine.Op{Kind: engine.OpAdd, Key: []byte(c.lock), Value: fmt.Append(nil, c.id)})
	default:
		c.token = fmt.Sprintf("%d.%d", c.id, c.n)
		s.model.begun[c.token] = s.now
		c.submit(engine.Op{Kind: engine.OpAppend, Key: []byte(c.list), Value: []byte(c.token + " ")})
	}
}

func (c *simClient) submit(op engine.Op) {
	n := c.node
	n.lastTag++
	n.waiting = append(n.waiting, simWaiter{tag: n.lastTag, client: c})
	n.put(input{kind: inputSubmit, tag: n.lastTag, n: 1, bytes: engine.AppendOp(nil, &op)})
}

// read asks for a read of a client.
func (n *simNode) read(c *simClient) {
	n.readers = append(n.readers, c)
	n.put(input{kind: inputRead, n: 1})
}

// answered takes the outcome of a write.
func (c *simClient) answered(o simOutcome, r *item.Result) {
	if c.told != nil {
		c.told(o, r)
		return
	}
	m := &c.s.model
	c.s.note("client %d answered %d", c.id, o)
	switch {
	case o == simUnknown:
		c.s.stats.unknown++
		m.unknown[c.token] = true
	case o == simNoLeader:
		c.s.stats.noLeader++
	case o == simRefused:
		c.s.stats.refused++
	case c.lock != "":
		if r.Status == item.StatusStored {
			if holder, taken := m.holders[c.lock]; taken {
				c.s.failf("%s was given to clients %d and %d", c.lock, holder, c.id)
			}
			m.holders[c.lock] = c.id
		}
	case r.Status != item.StatusStored:
		c.s.failf("append to %s: status %d", c.list, r.Status)
	default:
		c.s.stats.acked++
		m.acked[c.list] = append(m.acked[c.list], c.token)
		m.ackedAt[c.token] = c.s.now
	}
	c.again()
}

// readDone takes the permission to read, and reads.
func (c *simClient) readDone(ok bool) {
	if c.toldRead != nil {
		c.toldRead(ok)
		return
	}
	c.s.note("client %d read %v", c.id, ok)
	if ok {
		c.s.stats.reads++
		c.s.model.checkRead(c, c.node.list(c.list))
	}
	c.again()
}

func (c *simClient) again() {
	c.s.after(c.s.delay(5*time.Millisecond), c.next)
}

// list returns the tokens of a list as the node has them.
func (n *simNode) list(key string) []string {
	b, _ := n.engine.NewReader().View(nil, []byte(key), func(dst, _ []byte, it engine.Item) []byte {
		return append(dst, it.Value...)
	})
	return strings.Fields(string(b))
}

// simModel holds what clients know, and checks nodes against it.
type simModel struct {
	s       *simulation
	stopped bool
	locks   int
	acked   map[string][]string // by list, in the order of acknowledgement
	ackedAt map[string]time.Duration
	begun   map[string]time.Duration
	unknown map[string]bool
	holders map[string]int
	digests map[uint64]uint64   // by index: all nodes must agree
	longest map[string][]string // by list, as read
	places  map[string]int      // of tokens in their list
}

func newSimModel(s *simulation) simModel {
	return simModel{
		s: s, acked: map[string][]string{}, ackedAt: map[string]time.Duration{}, begun: map[string]time.Duration{},
		unknown: map[string]bool{}, holders: map[string]int{}, digests: map[uint64]uint64{}, longest: map[string][]string{}, places: map[string]int{},
	}
}

// applied checks that equal index means equal digest.
func (m *simModel) applied(n *simNode) {
	if m.s.stats.corrupted > 0 || m.s.order != nil {
		return // settle compares what comes of it, or reads are
	}
	index, digest := n.machine.applier.Digest()
	if d, ok := m.digests[index]; ok && d != digest {
		m.s.failf("node %d has digest %x at index %d, another had %x", n.id, digest, index, d)
	}
	m.digests[index] = digest
}

// checkRead checks that a read shows everything acknowledged before it began,
// and that all reads of a list are prefixes of one order.
func (m *simModel) checkRead(c *simClient, got []string) {
	m.checkPrefix(c.list, got)
	for _, token := range c.mustSee {
		if at, ok := m.places[token]; !ok || at >= len(got) {
			m.s.failf("client %d reads %s at node %d without %s, acknowledged at %v, before the read began at %v",
				c.id, c.list, c.node.id, token, m.ackedAt[token], c.began)
		}
	}
}

func (m *simModel) checkPrefix(list string, got []string) {
	long := m.longest[list]
	for i, token := range got[:min(len(got), len(long))] {
		if token != long[i] {
			m.s.failf("%s was read with %s and with %s at position %d", list, token, long[i], i)
		}
	}
	for i := len(long); i < len(got); i++ {
		m.places[got[i]] = i
	}
	if len(got) > len(long) {
		m.longest[list] = got
	}
}

// checkFinal checks a node after everything has come to rest: every
// acknowledged token is there, none twice, none that was refused, and those
// that did not overlap in time stand in their order.
func (m *simModel) checkFinal(n *simNode) {
	for _, list := range simListKeys {
		got := n.list(list)
		m.checkPrefix(list, got)
		seen := map[string]bool{}
		var latestBegun time.Duration
		for _, token := range got {
			if seen[token] {
				m.s.failf("node %d: %s holds %s twice", n.id, list, token)
			}
			seen[token] = true
			if at, ok := m.ackedAt[token]; ok && at < latestBegun {
				m.s.failf("node %d: %s was acknowledged at %v but stands behind one begun at %v", n.id, token, at, latestBegun)
			} else if !ok && !m.unknown[token] {
				m.s.failf("node %d: %s holds %s, which was refused", n.id, list, token)
			}
			latestBegun = max(latestBegun, m.begun[token])
		}
		for _, token := range m.acked[list] {
			if !seen[token] {
				m.s.failf("node %d: %s lacks %s, acknowledged at %v", n.id, list, token, m.ackedAt[token])
			}
		}
	}
	for lock, holder := range m.holders {
		b, _ := n.engine.NewReader().View(nil, []byte(lock), func(dst, _ []byte, it engine.Item) []byte { return append(dst, it.Value...) })
		if string(b) != fmt.Sprint(holder) {
			m.s.failf("node %d: %s is held by %q, was given to %d", n.id, lock, b, holder)
		}
	}
}
