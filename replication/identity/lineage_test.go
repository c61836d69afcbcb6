package identity

import (
	"errors"
	"math/rand/v2"
	"testing"

	"raftcached/replication/disk/disktest"
)

// TestCopiesAreTold from the original, by a server that has seen the original.
func TestCopiesAreTold(t *testing.T) {
	start := func(l Lineage, times int, seed byte) Lineage {
		random := rand.NewChaCha8([32]byte{seed})
		for range times {
			var err error
			l, err = l.next(random)
			must(t, err)
			must(t, l.Check())
		}
		return l
	}
	first := start(Lineage{}, 1, 1)
	newest := start(first, 9, 2) // what was seen
	for _, c := range []struct {
		name     string
		l        Lineage
		outdated bool
	}{
		{"the same start", newest, false},
		{"a later start", start(newest, 1, 3), false},
		{"as many starts as a lineage holds", start(newest, lineageMax-1, 3), false},
		{"more starts than a lineage holds", start(newest, 3*lineageMax, 3), false},
		{"an older copy", start(first, 1, 4), true},
		{"an older copy, started as often", start(first, 9, 4), true},
		{"an older copy, started more often", start(first, 20, 4), true},
		{"an older copy, started as often as a lineage holds", start(first, 9+lineageMax-1, 4), true},
	} {
		var m Memory
		if changed, err := m.Meet(DirectoryID{1}, &newest); !changed || err != nil {
			t.Fatalf("first meeting: %v, %v", changed, err)
		}
		_, err := m.Meet(DirectoryID{1}, &c.l)
		var outdated *OutdatedError
		if errors.As(err, &outdated) != c.outdated || err != nil && !c.outdated {
			t.Errorf("%s: %v, want outdated: %v", c.name, err, c.outdated)
		}
		if want := newest.Boot; c.outdated && m[0].Boot != want {
			t.Errorf("%s: start %d is remembered, want %d", c.name, m[0].Boot, want)
		}
		if _, err := m.Meet(DirectoryID{2}, &c.l); err != nil {
			t.Errorf("%s: another folder: %v", c.name, err)
		}
	}
}

// TestJumpIsBounded: a number that cannot be does not shut a folder out.
func TestJumpIsBounded(t *testing.T) {
	var m Memory
	l := Lineage{Boot: 5, Incarnations: []uint64{1}}
	if _, err := m.Meet(DirectoryID{1}, &l); err != nil {
		t.Fatal(err)
	}
	far := Lineage{Boot: 5 + bootJumpMax + 1, Incarnations: []uint64{2}}
	if changed, err := m.Meet(DirectoryID{1}, &far); changed || err == nil {
		t.Errorf("start %d: changed %v, %v", far.Boot, changed, err)
	}
	if changed, err := m.Meet(DirectoryID{1}, &l); changed || err != nil {
		t.Errorf("afterwards: changed %v, %v", changed, err)
	}
	for _, bad := range []Lineage{{}, {Boot: 1}, {Boot: 1, Incarnations: []uint64{1, 2}}, {Boot: 1 << 40, Incarnations: make([]uint64, lineageMax+1)}} {
		if bad.Check() == nil {
			t.Errorf("%d incarnations of %d starts pass", len(bad.Incarnations), bad.Boot)
		}
	}
}

// TestMemoryIsDurable when Meet returns.
func TestMemoryIsDurable(t *testing.T) {
	fs := disktest.NewCrashable()
	id, err := Open(fs, "data", 1, random())
	must(t, err)
	must(t, id.Meet(DirectoryID{1}, Lineage{Boot: 3, Incarnations: []uint64{7}}))
	id, err = Open(disktest.Crash(fs, rand.New(rand.NewPCG(1, 0))), "data", 1, random())
	must(t, err)
	var outdated *OutdatedError
	if err := id.Meet(DirectoryID{1}, Lineage{Boot: 2, Incarnations: []uint64{7}}); !errors.As(err, &outdated) {
		t.Fatalf("an older start: %v", err)
	}
	if l := id.Lineage(); l.Boot != 2 || len(l.Incarnations) != 2 {
		t.Fatalf("lineage is %+v after two starts", l)
	}
}
