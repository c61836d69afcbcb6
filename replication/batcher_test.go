package replication

import (
	"bytes"
	"math"
	"testing"
)

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

// TestEntryOfOwnAndForwarded: an entry has the sub-batches of this node and of others in the
// order in which they came, each as its origin has encoded it, in memory of the entry's own.
func TestEntryOfOwnAndForwarded(t *testing.T) {
	subs := exampleSubBatches()
	var b batcher
	for i := range subs {
		if i%2 == 0 {
			b.addOwn(&subs[i])
		} else {
			b.add(1, appendSubBatch(nil, &subs[i]))
		}
	}
	encoded := encodeSubBatches(subs)
	want := encodeEntry(1234, nil, len(subs), encoded)
	if b.bytes != len(encoded) {
		t.Errorf("%d bytes are queued, want %d", b.bytes, len(encoded))
	}
	got := b.entry(1234)
	if !bytes.Equal(got, want) || b.bytes != 0 {
		t.Errorf("entry %x, want %x; %d bytes are left", got, want, b.bytes)
	}
	for i := range subs {
		clear(subs[i].Ops)
	}
	if !bytes.Equal(got, want) {
		t.Error("the entry changed with the operations of its sub-batches")
	}
}

// TestHeadsFit: the memory made for the head of a sub-batch and of an entry suffices.
func TestHeadsFit(t *testing.T) {
	s := SubBatch{math.MaxUint64, math.MaxUint64, math.MaxInt, math.MaxUint64, math.MaxUint64, math.MaxInt, make([]byte, opsBytesMax)}
	if n := len(appendSubBatchHead(nil, &s)); n > subBatchHeadMax {
		t.Errorf("the head of a sub-batch has %d bytes, at most %d were expected", n, subBatchHeadMax)
	}
	hints := make([]byte, hintsBytesMax)
	if n := len(appendEntryHead(nil, stampMsMax, hints, subBatchesMax)) - len(hints); n > entryHeadMax {
		t.Errorf("the head of an entry has %d bytes, at most %d were expected", n, entryHeadMax)
	}
}
