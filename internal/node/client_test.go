package node

import (
	"runtime"
	"strconv"
	"sync"
	"testing"
	"weak"

	"raftcached/protocol"
)

// TestClientKeepsNoAnsweredValues: a value is the garbage collector's when its call
// has returned, also after many calls were in flight at one time.
func TestClientKeepsNoAnsweredValues(t *testing.T) {
	c := openNode(t, loneConfig(t)).Client()
	var many sync.WaitGroup
	for i := range 500 {
		many.Go(func() {
			if _, err := c.Write(t.Context(), protocol.Request{Command: protocol.Set, Key: []byte(strconv.Itoa(i))}); err != nil {
				t.Error(err)
			}
		})
	}
	many.Wait()
	var values []weak.Pointer[[1 << 16]byte]
	for range 20 {
		value := new([1 << 16]byte)
		values = append(values, weak.Make(value))
		if _, err := c.Write(t.Context(), protocol.Request{Command: protocol.Set, Key: []byte("k"), Value: value[:]}); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	kept := 0
	for _, value := range values {
		if value.Value() != nil {
			kept++
		}
	}
	if kept > 1 { // the last one may be on a stack
		t.Errorf("%d of %d values that were answered are kept", kept, len(values))
	}
}
