package replication

import (
	"bytes"
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"

	"raftcached/engine"
	"raftcached/internal/yield"
)

// TestWhoIsNotHeardYetSharesTheSync: on the one processor of a lone node, somebody submits, and at
// that moment input comes for somebody else, who will submit as well. Go's poller has it; to
// sync before it is asked would cost each of them a sync, and both the time of both.
func TestWhoIsNotHeardYetSharesTheSync(t *testing.T) {
	const rounds = 100
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	y, err := yield.New()
	if err != nil {
		t.Fatal(err)
	}
	client := waitingClient{make(chan []Answer, 2)}
	r := startLoneWith(t, newSimMachine(), client, y.Yield)
	t.Cleanup(func() {
		if err := y.Close(); err != nil {
			t.Error(err)
		}
	})
	set := engine.AppendOp(nil, &engine.Op{Kind: engine.OpSet, Key: []byte("k"), Value: []byte("v")})
	var tag atomic.Uint64
	submit := func() { r.Submit(0, tag.Add(1), 1, bytes.Clone(set), nil, false) }
	var pipe [2]int
	if err := syscall.Pipe2(pipe[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	other, in := os.NewFile(uintptr(pipe[0]), "input of the other"), pipe[1]
	ended := make(chan error, 1)
	go func() {
		for range rounds {
			if n, err := other.Read(make([]byte, 1)); n != 1 {
				ended <- errors.Join(errors.New("nothing was read"), err)
				return
			}
			submit()
		}
		ended <- nil
	}()
	before := syncs(r)
	for range rounds {
		if _, err := syscall.Write(in, []byte{1}); err != nil {
			t.Fatal(err)
		}
		submit()
		for n := 2; n > 0; {
			select {
			case a := <-client.answers:
				n -= len(a)
			case <-r.Done():
				t.Fatal(r.Err())
			}
		}
	}
	if err := errors.Join(<-ended, other.Close(), syscall.Close(in)); err != nil {
		t.Error(err)
	}
	if n := syncs(r) - before; n > rounds*3/2 {
		t.Errorf("%d rounds of two took %d syncs, one for each round is expected", rounds, n)
	}
}
