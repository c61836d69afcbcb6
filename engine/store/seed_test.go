package store

import (
	"encoding/binary"
	"math/bits"
	"testing"
)

// The constants of xxh64, and what undoes a multiplication by them.
const (
	xxhPrime1, xxhPrime2 = 0x9E3779B185EBCA87, 0xC2B2AE3D27D4EB4F
	xxhPrime4, xxhPrime5 = 0x85EBCA77C2B2AE63, 0x27D4EB2F165667C5
)

// inverse returns what an odd number must be multiplied by to be 1.
func inverse(odd uint64) uint64 {
	x := odd
	for range 5 { // each step doubles the bits that are right
		x *= 2 - odd*x
	}
	return x
}

// collide returns a key of 16 bytes whose xxh64 is the same for any n: its first half is
// anything, and the second one undoes what that has done.
func collide(n uint64) []byte {
	round := func(k uint64) uint64 { return bits.RotateLeft64(k*xxhPrime2, 31) * xxhPrime1 }
	h := uint64(xxhPrime5) + 16
	h ^= round(n)
	h = bits.RotateLeft64(h, 27)*xxhPrime1 + xxhPrime4
	second := bits.RotateLeft64(h*inverse(xxhPrime1), -31) * inverse(xxhPrime2) // round(second) == h
	return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(nil, n), second)
}

// crowd returns how many of the keys share the most crowded bucket of an index.
func crowd(t *testing.T, seed Seed, n uint64) (most int) {
	t.Helper()
	a, err := newArena(64<<20, 1<<30)
	if err != nil {
		t.Fatal(err)
	}
	defer a.close()
	x, err := newIndex(a, int(n), seed)
	if err != nil {
		t.Fatal(err)
	}
	defer x.close()
	homes := map[uint64]int{}
	for i := range n {
		home := x.state.Load().now.home(x.hash(collide(i)))
		homes[home]++
		most = max(most, homes[home])
	}
	return most
}

// TestNobodyChoosesPlaces (case T): keys of one xxh64 can be made as fast as they can be
// written down. Without a seed all are in one bucket, and each search goes through
// thousands; with one they spread as others do.
func TestNobodyChoosesPlaces(t *testing.T) {
	if testing.Short() {
		t.Skip("it has one goroutine: the race detector has nothing to find")
	}
	const n = 60_000
	if got := crowd(t, 0, n); got != n {
		t.Fatalf("%d of %d keys share a bucket without a seed: they do not collide", got, n)
	}
	for seed := Seed(1); seed < 1<<60; seed = seed*31 + 7 {
		if got := crowd(t, seed, n); got > 4*slotsPerBucket {
			t.Errorf("with seed %x %d keys share a bucket of %d", uint64(seed), got, slotsPerBucket)
		}
	}
}
