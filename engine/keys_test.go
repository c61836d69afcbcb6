package engine

import (
	"fmt"
	"slices"
	"testing"
)

// TestKeysOfOperations: whoever is told of no other keys may read these meanwhile.
func TestKeysOfOperations(t *testing.T) {
	for kind := OpSet; kind < opKindEnd; kind++ {
		op := Op{Kind: kind}
		if kind.hasKey() {
			op.Key = []byte("key")
		}
		set := Op{Kind: OpSet, Key: []byte("other")}
		ops := AppendOp(AppendOp(nil, &set), &op)
		var got []uint64
		noOthers := (*Engine)(nil).Keys(2, ops, func(hash uint64) { got = append(got, hash) })
		want := []uint64{HashKey(set.Key)}
		if kind.hasKey() {
			want = append(want, HashKey(op.Key))
		}
		if noOthers != (kind.hasKey() || kind == OpOffset) || !slices.Equal(got, want) {
			t.Errorf("%v changes %x, no others: %v", kind, got, noOthers)
		}
	}
	for _, ops := range []string{"", "\x01", "\x01\x00\x00\x00\x00\x01\x00k!"} {
		t.Run(fmt.Sprintf("%q", ops), func(t *testing.T) {
			if (*Engine)(nil).Keys(1, []byte(ops), func(uint64) {}) {
				t.Error("what cannot be read changes no other keys")
			}
		})
	}
}
