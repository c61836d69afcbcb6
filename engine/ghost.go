package engine

import (
	"encoding/binary"

	"raftcached/engine/memory"
)

const (
	// ghostShift: the table of ghosts takes 1/64 of the memory limit.
	ghostShift = 6

	ghostsPerBucket = 16
	ghostBytes      = 4
	ghostBucket     = ghostsPerBucket * ghostBytes

	// ghostAgeShift: the age of a ghost is known to 1/2^14 of the table's size.
	ghostAgeShift = 14

	// ghostPageBytes is the part of the table that an image writes at once.
	ghostPageBytes = 64 << 10
)

// ghosts remember the keys that were evicted from the small queue, for about as many
// evictions as there are items: an item that comes back in that time goes to the main
// queue at once. A ghost is 16 bits of the key's hash and 16 of the count of ghosts at
// its birth; in a full bucket the oldest is replaced. The table is replicated state:
// every bit of it follows from the log.
type ghosts struct {
	mem     []byte // allocated with the first ghost
	size    int    // bytes of mem, then
	made    uint64 // ghosts ever
	sum     uint64 // of what changed, see Digest
	changes func(page int)
}

func newGhosts(limit int64) ghosts {
	size := ghostBucket
	for int64(2*size) <= limit>>ghostShift {
		size *= 2
	}
	return ghosts{size: size}
}

func (g *ghosts) close() {
	if g.mem != nil {
		memory.Release(g.mem)
		g.mem = nil
	}
}

// allocate makes the table if it is not there.
func (g *ghosts) allocate() {
	if g.mem == nil {
		mem, err := memory.Reserve(max(g.size, 4096))
		if err != nil {
			panic("engine: " + err.Error()) // real exhaustion of memory ends the process
		}
		g.mem = mem
	}
}

// ageUnit is the number of ghosts by which the clock of ages moves on.
func (g *ghosts) ageUnit() uint64 {
	return max(1, uint64(g.size/ghostBytes)>>ghostAgeShift)
}

// clock is the present in the units of ages; it is never 0, which marks a free
// place.
func (g *ghosts) clock() uint16 { return uint16(g.made/g.ageUnit()%0xffff) + 1 }

// age returns how many ghosts were made since the clock showed born.
func (g *ghosts) age(born uint16) uint64 {
	return uint64((int(g.clock())-int(born)+0xffff)%0xffff) * g.ageUnit()
}

// bucket returns the bucket of a hash, and the fingerprint to look for there.
func (g *ghosts) bucket(hash uint64) (at int, fingerprint uint16) {
	buckets := uint64(g.size / ghostBucket)
	return int(hash>>16%buckets) * ghostBucket, uint16(hash)
}

// add remembers a key.
func (g *ghosts) add(hash uint64) {
	g.allocate()
	at, fingerprint := g.bucket(hash)
	place, oldest := at, uint64(0)
	for i := at; i < at+ghostBucket; i += ghostBytes {
		born := binary.LittleEndian.Uint16(g.mem[i+2:])
		if born == 0 {
			place = i
			break
		}
		if age := g.age(born) + 1; age > oldest {
			place, oldest = i, age
		}
	}
	g.made++
	g.put(place, uint32(fingerprint)|uint32(g.clock())<<16)
}

func (g *ghosts) put(at int, v uint32) {
	if g.changes != nil {
		g.changes(at / ghostPageBytes)
	}
	binary.LittleEndian.PutUint32(g.mem[at:], v)
	g.sum = mix(g.sum ^ uint64(at)<<32 ^ uint64(v))
}

// recall reports whether the key is remembered, among the last window ghosts, and
// forgets it.
func (g *ghosts) recall(hash, window uint64) bool {
	if g.mem == nil {
		return false
	}
	at, fingerprint := g.bucket(hash)
	for i := at; i < at+ghostBucket; i += ghostBytes {
		born := binary.LittleEndian.Uint16(g.mem[i+2:])
		if born != 0 && binary.LittleEndian.Uint16(g.mem[i:]) == fingerprint {
			age := g.age(born)
			g.put(i, 0)
			return age <= window
		}
	}
	return false
}

// mix spreads the bits of v (the finaliser of SplitMix64).
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
