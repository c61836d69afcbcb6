package replication

import (
	"bytes"
	"reflect"
	"testing"

	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

func exampleSubBatches() []SubBatch {
	return []SubBatch{
		{Origin: 1, Boot: 2, Loop: 3, Seq: 4, Tag: 5, Count: 2, Ops: []byte("ab")},
		{Origin: 1, Boot: 2, Loop: 0, Seq: 1, Tag: 6, Count: 0, Ops: []byte{}},
		{Origin: 1, Boot: 2, Loop: loopsMax - 1, Seq: 1 << 50, Tag: 1 << 60, Count: 300, Ops: bytes.Repeat([]byte("x"), 70_000)},
	}
}

func encodeSubBatches(ss []SubBatch) []byte {
	var b []byte
	for i := range ss {
		b = appendSubBatch(b, &ss[i])
	}
	return b
}

func TestEntryRoundTrip(t *testing.T) {
	want := exampleSubBatches()
	for _, hints := range [][]byte{nil, []byte("12345678"), bytes.Repeat([]byte("hash"), hintsBytesMax/4)} {
		entry := encodeEntry(1_900_000_000_123, hints, len(want), encodeSubBatches(want))
		r := frame.NewReader(entry)
		h, err := entryHeader(&r)
		if err != nil || !reflect.DeepEqual(h, header{1_900_000_000_123, hints, len(want)}) {
			t.Fatalf("header: stamp %d, %d bytes of hints, %d sub-batches, %v", h.stampMs, len(h.hints), h.subBatches, err)
		}
		for i := range want {
			got, err := readSubBatch(&r)
			if err != nil || !reflect.DeepEqual(got, want[i]) {
				t.Fatalf("sub-batch %d: got %+v, %v; want %+v", i, got, err, want[i])
			}
		}
		if len(r.Rest()) != 0 {
			t.Fatalf("%d bytes left", len(r.Rest()))
		}
	}
}

// TestMalformedHintsAreRefused holds for entries and for signals of peers.
func TestMalformedHintsAreRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		hints []byte // encoded
	}{
		{"empty", frame.AppendBytes(nil, nil)},
		{"half a hash", frame.AppendBytes(nil, []byte("1234"))},
		{"a hash and a half", frame.AppendBytes(nil, []byte("123456781234"))},
		{"too many", frame.AppendBytes(nil, make([]byte, hintsBytesMax+hintBytes))},
		{"cut off", frame.AppendBytesLen(nil, 8)},
		{"no bytes", frame.AppendUint(nil, 8)},
	} {
		entry := frame.AppendInt(frame.AppendUint(frame.AppendArrayLen(nil, 4), entryVersion), 5)
		entry = frame.AppendArrayLen(append(entry, c.hints...), 0)
		r := frame.NewReader(entry)
		if h, err := entryHeader(&r); err == nil {
			t.Errorf("%s: an entry with %d bytes of hints was accepted", c.name, len(h.hints))
		}
		core := new(Core)
		signal := frame.AppendUint(frame.AppendArrayLen(nil, 2), signalHints)
		if core.Signalled(2, append(signal, c.hints...)) == nil {
			t.Errorf("%s: a signal was accepted", c.name)
		}
	}
	signal := frame.AppendUint(frame.AppendArrayLen(nil, 2), signalHints)
	signal = frame.AppendBytes(signal, make([]byte, hintBytes))
	if err := new(Core).Signalled(2, signal); err != nil {
		t.Errorf("one hint: %v", err)
	}
	if new(Core).Signalled(2, append(signal, 0)) == nil {
		t.Error("a signal with a byte too many was accepted")
	}
}

// anyOps is a check that everything passes but ff.
func anyOps(_ int, ops []byte) error {
	if bytes.HasPrefix(ops, []byte{0xff}) {
		return errMalformed
	}
	return nil
}

// TestForwardedOperationsAreChecked: operations that cannot be read leave, and the rest
// of what was forwarded goes on, with the same numbers.
func TestForwardedOperationsAreChecked(t *testing.T) {
	for bad := range 3 {
		sent := exampleSubBatches()
		sent[bad].Count, sent[bad].Ops = 1, []byte{0xff, 0xff}
		n, subs, refused, err := splitForwarded(append(frame.AppendArrayLen(nil, 3), encodeSubBatches(sent)...), 1, 2, anyOps)
		if err != nil || refused == nil || n != 3 {
			t.Fatalf("%d sub-batches, %v, %v", n, refused, err)
		}
		sent[bad].Count, sent[bad].Ops = 0, nil
		if !bytes.Equal(subs, encodeSubBatches(sent)) {
			t.Errorf("what is left of %d is %q", bad, subs)
		}
	}
}

func TestForwardedPayloadIsChecked(t *testing.T) {
	subs := encodeSubBatches(exampleSubBatches())
	payload := append(frame.AppendArrayLen(nil, 3), subs...)
	n, got, refused, err := splitForwarded(payload, 1, 2, anyOps)
	if err != nil || refused != nil || n != 3 || !bytes.Equal(got, subs) {
		t.Fatalf("%d sub-batches, %v", n, err)
	}
	if _, _, _, err := splitForwarded(payload, 2, 2, anyOps); err == nil {
		t.Error("sub-batches of another origin were accepted")
	}
	if _, _, _, err := splitForwarded(payload, 1, 1, anyOps); err == nil {
		t.Error("sub-batches of a start that the peer has not shown were accepted")
	}
	if _, _, _, err := splitForwarded(append(payload, 0), 1, 2, anyOps); err == nil {
		t.Error("bytes behind the last sub-batch were accepted")
	}
	own := SubBatch{Origin: clusterOrigin, Count: 1, Ops: []byte("x")}
	for from := range uint64(2) {
		if _, _, _, err := splitForwarded(appendSubBatch(frame.AppendArrayLen(nil, 1), &own), from, 0, anyOps); err == nil {
			t.Errorf("a sub-batch of the cluster's own was accepted from %d", from)
		}
	}
	for cut := range 200 {
		if _, _, _, err := splitForwarded(payload[:cut], 1, 2, anyOps); err == nil {
			t.Errorf("payload cut to %d bytes was accepted", cut)
		}
	}
}

func TestUnknownEntryVersionIsRefused(t *testing.T) {
	entry := frame.AppendArrayLen(nil, 4)
	entry = frame.AppendUint(entry, entryVersion+1)
	r := frame.NewReader(entry)
	if _, err := entryHeader(&r); err == nil {
		t.Fatal("an entry of a later version was accepted")
	}
}

// FuzzBatchDecode feeds bytes of a peer to the decoders: they must give errors,
// never panic or allocate by what a length field claims.
func FuzzBatchDecode(f *testing.F) {
	subs := encodeSubBatches(exampleSubBatches()[:2])
	f.Add(append(frame.AppendArrayLen(nil, 2), subs...))
	f.Add(encodeEntry(12345, nil, 2, subs))
	f.Add(encodeEntry(12345, []byte("hash-onehash-two"), 2, subs))
	f.Add(encodeEntry(1, nil, 1, appendSubBatch(nil, &SubBatch{Origin: clusterOrigin, Count: 1, Ops: []byte("x")})))
	f.Add(frame.AppendBytes(frame.AppendUint(frame.AppendArrayLen(nil, 2), signalHints), []byte("hash-one")))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, subs, _, err := splitForwarded(b, 1, 2, anyOps); err == nil {
			checkEntry(t, encodeEntry(1, nil, n, subs), n)
		}
		core := &Core{leader: 2, memberState: memberState{members: formedMembership(formed(3))}}
		_ = core.Signalled(2, b)
		if data, err := proto.Marshal(&pb.ConfChangeV2{Context: b}); err == nil {
			_, _ = readChange(data)
		}
		for version := uint64(snapshotMembers); version <= snapshotRaised; version++ {
			members := frame.NewReader(b)
			_, _ = readMembership(&members, version)
		}
		r := frame.NewReader(b)
		if h, err := entryHeader(&r); err == nil {
			if len(h.hints)%hintBytes != 0 || len(h.hints) > hintsBytesMax {
				t.Fatalf("accepted %d bytes of hints", len(h.hints))
			}
			again := encodeEntry(h.stampMs, h.hints, h.subBatches, r.Rest())
			ar := frame.NewReader(again)
			if h2, err := entryHeader(&ar); err != nil || !reflect.DeepEqual(h, h2) {
				t.Fatalf("%+v encodes to %+v, %v", h, h2, err)
			}
			for range h.subBatches {
				if _, err := readSubBatch(&r); err != nil {
					return
				}
			}
		}
	})
}

// checkEntry checks that an entry holds n sub-batches, each of which encodes to
// itself.
func checkEntry(t *testing.T, entry []byte, n int) {
	r := frame.NewReader(entry)
	if h, err := entryHeader(&r); err != nil || h.subBatches != n {
		t.Fatalf("accepted payload makes an entry of %d sub-batches, %v; want %d", h.subBatches, err, n)
	}
	for range n {
		s, err := readSubBatch(&r)
		if err != nil {
			t.Fatalf("accepted payload makes an unreadable entry: %v", err)
		}
		ar := frame.NewReader(appendSubBatch(nil, &s))
		if s2, err := readSubBatch(&ar); err != nil || !reflect.DeepEqual(s, s2) {
			t.Fatalf("%+v encodes to %+v, %v", s, s2, err)
		}
	}
}
