package replication

import "testing"

// TestEntriesWaitForCompany: a small entry waits until it has as much to bring as what is under
// way, a full one for nothing, and the first one never.
func TestEntriesWaitForCompany(t *testing.T) {
	var b batcher
	index := uint64(10)
	propose := func() {
		before := b.bytes
		b.entry(0)
		index++
		b.proposed(index, before-b.bytes)
	}
	add := func(bytes int) { b.add(1, make([]byte, bytes)) }
	want := func(what string, ready bool) {
		t.Helper()
		if got := b.ready(index - 10); got != ready {
			t.Errorf("%s: ready: %v, with %d bytes, %d under way in %d entries", what, got, b.bytes, b.flyingBytes, index-10)
		}
	}
	want("nothing", false)
	add(100)
	want("the first", true)
	propose()
	add(99)
	want("less than is under way", false)
	add(1)
	want("as much", true)
	propose()
	add(199)
	want("less than both", false)
	add(1)
	propose()
	add(400)
	propose()
	add(1000)
	want("a fifth entry", false)
	add(entryBytesTarget - 1000)
	want("a full one", true)
	b.committed(index - 1)
	if len(b.flying) != 1 || b.flyingBytes != 400 {
		t.Errorf("%+v are under way, %d bytes", b.flying, b.flyingBytes)
	}
	b.committed(index)
	if len(b.flying) != 0 || b.flyingBytes != 0 {
		t.Errorf("%+v are under way, %d bytes", b.flying, b.flyingBytes)
	}
}
