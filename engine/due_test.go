package engine

import "testing"

// TestWhatIsGoneByALaterStampIsWithheld: it is not shown, and the reader tells why it has
// missed it.
func TestWhatIsGoneByALaterStampIsWithheld(t *testing.T) {
	e := newEngine(t, testLimits)
	e.Advance(testStart)
	one(t, e, Op{Kind: OpSet, Key: []byte("k"), Value: []byte("v")})
	one(t, e, Op{Kind: OpSet, Key: []byte("expires"), Value: []byte("v"), Exptime: 5})
	r := e.NewReader()
	want := func(key string, dueMs int64, value string, due bool) {
		t.Helper()
		r.SetDue(dueMs)
		if got := read(r, key); got != value || r.Due() != due {
			t.Errorf("%s at %d: %q, due: %v; want %q, %v", key, dueMs, got, r.Due(), value, due)
		}
		r.SetDue(dueMs)
		_, found := r.Look(nil, []byte(key), false, func(dst, _ []byte, _ Item) []byte { return dst })
		if found != (value != "miss") || r.Due() != due {
			t.Errorf("%s at %d by Look: %v, due: %v; want %q, %v", key, dueMs, found, r.Due(), value, due)
		}
	}
	want("k", 0, "v/0", false)
	want("k", testStart+1e9, "v/0", false)
	want("expires", 0, "v/0", false)
	want("expires", testStart+4999, "v/0", false)
	want("expires", testStart+5000, "miss", true)
	want("none", testStart+5000, "miss", false)

	one(t, e, Op{Kind: OpFlushAll, Exptime: 3})
	want("k", testStart+2999, "v/0", false)
	want("k", testStart+3000, "miss", true)
	want("none", testStart+3000, "miss", false)
	want("k", 0, "v/0", false)
	e.Advance(testStart + 3000)
	want("k", testStart+9000, "miss", false)
	one(t, e, Op{Kind: OpSet, Key: []byte("k"), Value: []byte("w")})
	want("k", testStart+9000, "w/0", false)
	one(t, e, Op{Kind: OpFlushAll, Exptime: 3})
	one(t, e, Op{Kind: OpSet, Key: []byte("expires"), Value: []byte("v"), Exptime: 2})
	e.Advance(testStart + 5000)
	want("expires", testStart+9000, "miss", false) // gone everywhere
	one(t, e, Op{Kind: OpFlushAll})
	want("k", testStart+9000, "miss", false)
}
