package replication

import (
	"bytes"
	"reflect"
	"testing"

	"raftcached/replication/frame"
)

func exampleSubBatches() []SubBatch {
	return []SubBatch{
		{Origin: 1, Boot: 2, Loop: 3, Seq: 4, Tag: 5, Count: 2, Ops: []byte("ab")},
		{Origin: 1, Boot: 2, Loop: 0, Seq: 1, Tag: 6, Count: 0, Ops: []byte{}},
		{Origin: 1, Boot: 1 << 40, Loop: loopsMax - 1, Seq: 1 << 50, Tag: 1 << 60, Count: 300, Ops: bytes.Repeat([]byte("x"), 70_000)},
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
	entry := appendEntry(nil, 1_900_000_000_123, len(want), encodeSubBatches(want))
	r := frame.NewReader(entry)
	stampMs, n, err := entryHeader(&r)
	if err != nil || stampMs != 1_900_000_000_123 || n != len(want) {
		t.Fatalf("header: stamp %d, %d sub-batches, %v", stampMs, n, err)
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

func TestForwardedPayloadIsChecked(t *testing.T) {
	subs := encodeSubBatches(exampleSubBatches())
	payload := append(frame.AppendArrayLen(nil, 3), subs...)
	n, got, err := splitForwarded(payload, 1)
	if err != nil || n != 3 || !bytes.Equal(got, subs) {
		t.Fatalf("%d sub-batches, %v", n, err)
	}
	if _, _, err := splitForwarded(payload, 2); err == nil {
		t.Error("sub-batches of another origin were accepted")
	}
	if _, _, err := splitForwarded(append(payload, 0), 1); err == nil {
		t.Error("bytes behind the last sub-batch were accepted")
	}
	for cut := range 200 {
		if _, _, err := splitForwarded(payload[:cut], 1); err == nil {
			t.Errorf("payload cut to %d bytes was accepted", cut)
		}
	}
}

func TestUnknownEntryVersionIsRefused(t *testing.T) {
	entry := frame.AppendArrayLen(nil, 4)
	entry = frame.AppendUint(entry, entryVersion+1)
	r := frame.NewReader(entry)
	if _, _, err := entryHeader(&r); err == nil {
		t.Fatal("an entry of a later version was accepted")
	}
}

// FuzzBatchDecode feeds bytes of a peer to the decoders: they must give errors,
// never panic or allocate by what a length field claims.
func FuzzBatchDecode(f *testing.F) {
	subs := encodeSubBatches(exampleSubBatches()[:2])
	f.Add(append(frame.AppendArrayLen(nil, 2), subs...))
	f.Add(appendEntry(nil, 12345, 2, subs))
	f.Fuzz(func(t *testing.T, b []byte) {
		if n, subs, err := splitForwarded(b, 1); err == nil {
			entry := appendEntry(nil, 1, n, subs)
			r := frame.NewReader(entry)
			if _, m, err := entryHeader(&r); err != nil || m != n {
				t.Fatalf("accepted payload makes an entry of %d sub-batches, %v; want %d", m, err, n)
			}
			for range n {
				s, err := readSubBatch(&r)
				if err != nil {
					t.Fatalf("accepted payload makes an unreadable entry: %v", err)
				}
				again := appendSubBatch(nil, &s)
				ar := frame.NewReader(again)
				if s2, err := readSubBatch(&ar); err != nil || !reflect.DeepEqual(s, s2) {
					t.Fatalf("%+v encodes to %+v, %v", s, s2, err)
				}
			}
		}
		r := frame.NewReader(b)
		if _, n, err := entryHeader(&r); err == nil {
			for range n {
				if _, err := readSubBatch(&r); err != nil {
					return
				}
			}
		}
	})
}
