package hitratio

// LRU is the ideal least-recently-used cache. It evicts exactly as many of the least
// recently used items as a new item needs.
type LRU struct {
	items    Items
	capacity int64 // bytes
	bytes    int64

	// The queue is a ring through nodes, in which that of key i is i+1 and node 0
	// is the ring's anchor: the most recent item follows it, the oldest precedes it.
	nodes  []lruNode
	missed []uint32 // of the round
}

// lruNode links an item with its neighbours. A node that links to itself is not in the
// ring, and its key is not cached.
type lruNode struct{ newer, older uint32 }

// NewLRU returns an empty cache of capacity bytes for keys below keys.
func NewLRU(items Items, capacity int64, keys int) *LRU {
	c := &LRU{items: items, capacity: capacity, nodes: make([]lruNode, keys+1)}
	for i := range c.nodes {
		c.nodes[i] = lruNode{uint32(i), uint32(i)}
	}
	return c
}

// Round implements Cache.
func (c *LRU) Round(batches [Nodes][]uint32) (misses int, err error) {
	c.missed = c.missed[:0]
	for _, batch := range batches {
		for _, id := range batch {
			if !c.get(id) {
				c.missed = append(c.missed, id)
			}
		}
	}
	for _, id := range c.missed {
		c.set(id)
	}
	return len(c.missed), nil
}

// get reports whether the key is cached and makes it the newest.
func (c *LRU) get(id uint32) bool {
	at := id + 1
	if c.nodes[at].newer == at {
		return false
	}
	c.unlink(at)
	c.link(at)
	return true
}

// set caches the key. An item that never fits is not kept.
func (c *LRU) set(id uint32) {
	if c.get(id) || c.items.itemBytes(id) > c.capacity {
		return
	}
	c.link(id + 1)
	for c.bytes += c.items.itemBytes(id); c.bytes > c.capacity; {
		oldest := c.nodes[0].newer
		c.unlink(oldest)
		c.bytes -= c.items.itemBytes(oldest - 1)
	}
}

// link makes a node the newest.
func (c *LRU) link(at uint32) {
	newest := c.nodes[0].older
	c.nodes[at] = lruNode{newer: 0, older: newest}
	c.nodes[newest].newer = at
	c.nodes[0].older = at
}

func (c *LRU) unlink(at uint32) {
	n := c.nodes[at]
	c.nodes[n.older].newer = n.newer
	c.nodes[n.newer].older = n.older
	c.nodes[at] = lruNode{at, at}
}
