package hitratio

import "fmt"

// roundMs is the duration of a round on the log's clock. Nothing expires here; the
// clock only has to advance.
const roundMs = 2

// Replicas is a cluster without its network: the engines of Nodes nodes that apply
// the same log. Each node answers its own batch of a round. The sets of the round are
// one entry. Every hintRounds rounds all nodes apply the hints of all reads.
type Replicas struct {
	items      Items
	replicas   [Nodes]*replica
	hintRounds int
	rounds     int
	key, ops   []byte // reused
	hints      []byte // reused
	nowMs      int64
}

// NewReplicas returns empty replicas of memoryBytes each. Close releases their memory.
func NewReplicas(items Items, memoryBytes int64, hintRounds int) (*Replicas, error) {
	c := &Replicas{items: items, hintRounds: hintRounds, nowMs: 1}
	for i := range c.replicas {
		var err error
		if c.replicas[i], err = newReplica(memoryBytes); err != nil {
			return nil, fmt.Errorf("make replica: %w", err)
		}
	}
	return c, nil
}

// Close releases the replicas' memory.
func (c *Replicas) Close() {
	for _, r := range c.replicas {
		r.close()
	}
}

// Round implements Cache.
func (c *Replicas) Round(batches [Nodes][]uint32) (misses int, err error) {
	c.ops = c.ops[:0]
	for i, batch := range batches {
		for _, id := range batch {
			c.key = c.items.appendKey(c.key[:0], id)
			if !c.replicas[i].has(c.key) {
				c.ops = appendSet(c.ops, c.key, c.items.value(id))
				misses++
			}
		}
	}
	c.nowMs += roundMs
	for _, r := range c.replicas {
		r.apply(c.nowMs, misses, c.ops)
	}
	if c.rounds++; c.rounds%c.hintRounds == 0 {
		c.passHintsOn()
	}
	return misses, nil
}

func (c *Replicas) passHintsOn() {
	c.hints = c.hints[:0]
	for _, r := range c.replicas {
		c.hints = r.takeHints(c.hints)
	}
	for _, r := range c.replicas {
		r.hint(c.hints)
	}
}

// Check returns an error if the replicas' states differ.
func (c *Replicas) Check() error {
	want := c.replicas[0].digest()
	for i, r := range c.replicas {
		if got := r.digest(); got != want {
			return fmt.Errorf("digest of replica %d is %x, that of replica 0 %x", i, got, want)
		}
	}
	return nil
}
