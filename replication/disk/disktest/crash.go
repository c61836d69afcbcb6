package disktest

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// sectorBytes is what a disk writes in whole or not at all.
const sectorBytes = 512

// folder holds names: as they are now, and as they were last synced.
type folder struct {
	names   map[string]*inode
	durable map[string]*inode
	changes []nameChange // since
}

// nameChange removes a name, gives a file a name, or does both atomically.
type nameChange struct {
	from, to string // "" for none
	node     *inode
}

func newFolder(names map[string]*inode) *folder {
	if names == nil {
		names = map[string]*inode{}
	}
	return &folder{names: names, durable: maps.Clone(names)}
}

func (f *folder) do(c nameChange) {
	c.apply(f.names)
	f.changes = append(f.changes, c)
}

func (c *nameChange) apply(names map[string]*inode) {
	if c.from != "" {
		delete(names, c.from)
	}
	if c.to != "" {
		names[c.to] = c.node
	}
}

// inode is a file: as it is now, and as it was last synced.
type inode struct {
	now, durable contents
	changes      []change // since
}

// contents are bytes, followed by zeros up to size.
type contents struct {
	data []byte
	size int64
}

// change is a write, makes a file larger, or cuts it.
type change struct {
	at   int64
	data []byte
	size int64 // of the file, at least
	cut  bool  // to size
}

func (c *contents) write(at int64, b []byte) {
	end := at + int64(len(b))
	if end > int64(len(c.data)) {
		c.data = append(c.data, make([]byte, end-int64(len(c.data)))...)
	}
	copy(c.data[at:], b)
	c.size = max(c.size, end)
}

func (c *contents) truncate(size int64) {
	c.size = min(c.size, size)
	c.data = c.data[:min(int64(len(c.data)), size)]
}

func (c *contents) clone() contents { return contents{append([]byte(nil), c.data...), c.size} }

func (n *inode) write(at int64, b []byte) {
	if len(b) == 0 {
		return
	}
	n.now.write(at, b)
	n.changes = append(n.changes, change{at: at, data: append([]byte(nil), b...)})
}

func (n *inode) grow(size int64) {
	n.now.size = max(n.now.size, size)
	n.changes = append(n.changes, change{size: size})
}

func (n *inode) truncate(size int64) {
	n.now.truncate(size)
	n.changes = append(n.changes, change{size: size, cut: true})
}

func (n *inode) sync() {
	for i := range n.changes {
		n.changes[i].apply(&n.durable)
	}
	n.changes = nil
}

func (c *change) apply(to *contents) {
	if c.cut {
		to.truncate(c.size)
		return
	}
	if len(c.data) > 0 {
		to.write(c.at, c.data)
	}
	to.size = max(to.size, c.size)
}

// luck is which unsynced changes reach the disk.
type luck uint8

const (
	luckNothing luck = iota
	luckEverything
	luckMixed // with more weight than the others
	luckKinds = 4
)

// crash builds the state after a crash.
type crash struct {
	rng   *rand.Rand
	luck  luck
	files map[*inode]*inode // after by before
}

func (c *crash) folder(f *folder) *folder {
	n := 0
	switch c.luck {
	case luckNothing:
	case luckEverything:
		n = len(f.changes)
	default:
		n = c.rng.IntN(len(f.changes) + 1)
	}
	names := maps.Clone(f.durable)
	for i := range f.changes[:n] {
		f.changes[i].apply(names)
	}
	for _, name := range slices.Sorted(maps.Keys(names)) { // the order of a map would show
		names[name] = c.file(names[name])
	}
	return newFolder(names)
}

// file returns a file after the crash.
func (c *crash) file(n *inode) *inode {
	if after, ok := c.files[n]; ok {
		return after
	}
	left := n.durable.clone()
	for i := range n.changes {
		c.change(&left, &n.changes[i])
	}
	if c.luck >= luckMixed && c.rng.IntN(2) == 0 {
		left.size = max(left.size, n.now.size)
	}
	after := &inode{now: left, durable: left.clone()}
	c.files[n] = after
	return after
}

// change lets a change reach the disk completely, partly or not at all.
func (c *crash) change(left *contents, ch *change) {
	how := c.luck
	if how >= luckMixed {
		how = luck(c.rng.IntN(3))
	}
	switch {
	case how == luckNothing:
	case ch.cut && how != luckEverything:
		if left.size > ch.size {
			left.truncate(ch.size + c.rng.Int64N(left.size-ch.size))
		}
	case how == luckEverything || len(ch.data) == 0:
		ch.apply(left)
	default:
		for at := ch.at; at < ch.at+int64(len(ch.data)); at += sectorBytes - at%sectorBytes {
			end := min(at+sectorBytes-at%sectorBytes, ch.at+int64(len(ch.data)))
			if c.rng.IntN(2) == 0 {
				left.write(at, ch.data[at-ch.at:end-ch.at])
			}
		}
	}
}
