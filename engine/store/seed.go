package store

import (
	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// Seed is what the hash of keys depends on, so that nobody can choose keys that
// share a place in the index. It is the same on all nodes: the ghosts follow from
// hashes, and hints are hashes. 0 is that of clusters from before there were seeds.
type Seed uint64

// Hash returns the hash of a key, which the index uses. Any goroutine may call it.
func (s Seed) Hash(key []byte) uint64 {
	if s == 0 {
		return xxhash.Sum64(key)
	}
	return xxh3.HashSeed(key, uint64(s))
}
