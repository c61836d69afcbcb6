package yield

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestYieldLetsOthersRun: on one processor, who waits for the poller and has
// input has run when Yield returns.
func TestYieldLetsOthersRun(t *testing.T) {
	const rounds = 100
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	var in [2]int
	if err := syscall.Pipe2(in[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(in[0]), "input of somebody else")
	var heard, waits atomic.Int64
	ended := make(chan error, 1)
	go func() {
		for range rounds {
			waits.Add(1)
			if n, err := file.Read(make([]byte, 1)); n != 1 {
				ended <- errors.Join(errors.New("nothing was read"), err)
				return
			}
			heard.Add(1)
		}
		ended <- nil
	}()
	y, err := New()
	if err != nil {
		t.Fatal(err)
	}
	first := 0
	for i := range int64(rounds) {
		for waits.Load() <= i {
			runtime.Gosched()
		}
		if _, err := syscall.Write(in[1], []byte{1}); err != nil {
			t.Fatal(err)
		}
		y.Yield()
		if heard.Load() > i {
			first++
		}
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if first < rounds*9/10 { // the monitor may have asked the poller just before
		t.Errorf("in %d of %d rounds it was heard before Yield returned", first, rounds)
	}
	if err := errors.Join(y.Close(), file.Close(), syscall.Close(in[1])); err != nil {
		t.Error(err)
	}
}

// TestYieldWithoutGosPoller returns.
func TestYieldWithoutGosPoller(t *testing.T) {
	y, err := New()
	if err != nil {
		t.Fatal(err)
	}
	y.Yield()
	y.Yield()
	if err := y.Close(); err != nil {
		t.Error(err)
	}
	y.Yield()
}
