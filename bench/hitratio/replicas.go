package hitratio

import "fmt"

// roundMs is how long a round takes on the log's clock. Nothing expires here: it
// only has to advance.
const roundMs = 2

// Replicas is a cluster without its network: the engines of Nodes nodes that apply
// the same log. Each node answers its own batch of a round; the sets of the round
// are one entry.
type Replicas struct {
	items    Items
	replicas [Nodes]*replica
	key, ops []byte // reused
	nowMs    int64
}

// NewReplicas returns empty replicas of memoryBytes each.
func NewReplicas(items Items, memoryBytes int64) *Replicas {
	c := &Replicas{items: items, nowMs: 1}
	for i := range c.replicas {
		c.replicas[i] = newReplica(memoryBytes)
	}
	return c
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
	for i, r := range c.replicas {
		if err := r.apply(c.nowMs, misses, c.ops); err != nil {
			return 0, fmt.Errorf("apply at replica %d: %w", i, err)
		}
	}
	return misses, nil
}

// Check returns an error if the replicas' states differ.
func (c *Replicas) Check() error {
	want := c.replicas[0].digest()
	for i, r := range c.replicas {
		if got := r.digest(); got != want {
			return fmt.Errorf("digest of replica %d is %016x, that of replica 0 %016x", i, got, want)
		}
	}
	return nil
}
