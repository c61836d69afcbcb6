package eventloop

import (
	"errors"
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
)

// TestBusyLoopLetsOthersHear: a loop that always has something to do, and the only processor,
// does not keep others from what has arrived for them until the runtime's monitor looks, 10 ms
// later: thousands of turns.
func TestBusyLoopLetsOthersHear(t *testing.T) {
	const turnsMax = 100
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	l := &loopHooks{open: echo}
	newEngine(t, l)
	onLoop(l, func() { l.Loop.(*gnetLoop).yieldAfter = 0 })

	for range 20 {
		var in [2]int
		if err := syscall.Pipe2(in[:], syscall.O_NONBLOCK|syscall.O_CLOEXEC); err != nil {
			t.Fatal(err)
		}
		file := os.NewFile(uintptr(in[0]), "input of somebody else")
		var turns, heard atomic.Int64
		ended := make(chan error, 1)
		go func() {
			n, err := file.Read(make([]byte, 1))
			heard.Store(turns.Load())
			if n != 1 {
				err = errors.Join(errors.New("nothing was read"), err)
			}
			ended <- err
		}()
		var post func()
		post = func() {
			switch {
			case turns.Load() > 0 && heard.Load() > 0:
				return
			case turns.Add(1) == turnsMax: // by now the reader waits
				if _, err := syscall.Write(in[1], []byte{1}); err != nil {
					t.Error(err)
				}
			}
			l.Post(post)
		}
		l.Post(post)
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if n := heard.Load() - turnsMax; n > turnsMax {
			t.Errorf("somebody has heard of its input after %d turns of the loop, at most %d are expected", n, turnsMax)
		}
		if err := errors.Join(file.Close(), syscall.Close(in[1])); err != nil {
			t.Error(err)
		}
	}
}
