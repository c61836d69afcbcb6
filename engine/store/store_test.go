package store

import (
	"fmt"
	"testing"
)

// newStore returns a current store, which the end of the test closes.
func newStore(t testing.TB) (*Current, *Store) {
	t.Helper()
	const limit = 8 << 20
	s, err := New(limit, LayoutFor(limit), 0, 7)
	if err != nil {
		t.Fatal(err)
	}
	s.OnFull = func() { t.Fatal("the memory is exhausted") }
	c := new(Current)
	c.Init()
	c.Replace(s)
	t.Cleanup(c.Close)
	return c, s
}

// set stores an item at the end of a queue.
func set(s *Store, q int, key, value string) {
	p := s.Find([]byte(key))
	s.Add(q, &p, &Meta{CAS: 1}, []byte(key), []byte(value), nil)
}

// listed returns the items of a queue, in order.
func listed(s *Store, q int) (list []string) {
	for r := range s.Items(q) {
		key, value, _ := r.Read()
		list = append(list, fmt.Sprintf("%s=%s", key, value))
	}
	return list
}

// TestQueuesKeepTheirOrder stores, moves, replaces and unlinks items.
func TestQueuesKeepTheirOrder(t *testing.T) {
	_, s := newStore(t)
	for _, key := range []string{"a", "b", "c", "d"} {
		set(s, QueueSmall, key, "1")
	}
	a := s.First(QueueSmall)
	s.Move(Seed(7).Hash(a.Key()), a.Handle(), QueueMain, 2)
	set(s, QueueMain, "b", "2")
	s.Unlink(Seed(7).Hash([]byte("c")), s.Find([]byte("c")).Handle())
	if got, want := fmt.Sprint(listed(s, QueueSmall), listed(s, QueueMain)), "[d=1] [a=1 b=2]"; got != want {
		t.Fatalf("%s, want %s", got, want)
	}
	if p := s.Find([]byte("a")); !p.Alive || p.Freq() != 2 || s.QueueOf(p.Ref) != QueueMain {
		t.Fatalf("a: %+v", p)
	}
	if p := s.Find([]byte("c")); p.Exists() || s.Count() != 3 || s.Linked() != 3 {
		t.Fatalf("c: %+v, %d items, %d linked", p, s.Count(), s.Linked())
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestWalkSeesOneMoment changes everything while a walk goes on.
func TestWalkSeesOneMoment(t *testing.T) {
	_, s := newStore(t)
	want := ""
	for n := range 100 {
		key := fmt.Sprintf("k%d", n)
		set(s, n%2, key, "before")
	}
	for q := range QueueCount {
		for _, item := range listed(s, q) {
			want += item + " "
		}
	}
	got, n := "", 0
	for w := s.NewWalk(); w.More(); n++ {
		key, value, _, _, ok := w.Next()
		if ok {
			got += fmt.Sprintf("%s=%s ", key, value)
		}
		victim := fmt.Sprintf("k%d", (n*37+11)%100)
		if n%3 == 0 {
			if p := s.Find([]byte(victim)); p.Exists() {
				s.Unlink(p.Hash, p.Handle())
			}
		} else {
			set(s, QueueMain, victim, "after")
		}
		s.Free()
	}
	if got != want || s.KeptBytes() != 0 {
		t.Fatalf("%s\nwant\n%s\n%d bytes are kept", got, want, s.KeptBytes())
	}
	if err := s.Check(); err != nil {
		t.Fatal(err)
	}
}

// TestFreeWaitsForReaders: memory that a reader may be in is not used again, nor is
// that of a store that was replaced.
func TestFreeWaitsForReaders(t *testing.T) {
	c, s := newStore(t)
	set(s, QueueSmall, "k", "value")
	r := c.NewReader()
	entered := r.Enter()
	ref, _ := entered.Lookup(Seed(7).Hash([]byte("k")), []byte("k"))
	value := func() string { _, _, v := ref.Content(); return string(v) }
	for n := range 20 { // each has segments of its own
		set(s, QueueSmall, "k", string(make([]byte, 200<<10+n)))
	}
	s.Free()
	if value() != "value" || !s.Retired() {
		t.Fatalf("a reader sees %.20q; retired: %v", value(), s.Retired())
	}
	next, err := New(8<<20, LayoutFor(8<<20), 0, 7)
	if err != nil {
		t.Fatal(err)
	}
	c.Replace(next)
	c.Release()
	if value() != "value" || len(c.retired) != 1 {
		t.Fatalf("a reader sees %.20q; %d stores retired", value(), len(c.retired))
	}
	r.Leave()
	if c.Release(); len(c.retired) != 0 {
		t.Fatal("a store is kept for no reader")
	}
	if r.Enter() != next {
		t.Fatal("the reader entered another store")
	}
	r.Leave()
}
