package handshake

import (
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// computing returns a handshake that has read, and so computes; others have to be over before
// if there is no turn left.
func computing(t *testing.T, p *Port) *Conn {
	t.Helper()
	c, client := pair(p)
	go func() { _, _ = client.Write([]byte{1}) }()
	if _, err := c.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	return c
}

func pair(p *Port) (*Conn, net.Conn) {
	server, client := net.Pipe()
	return p.Conn(server), client
}

// withProcessors runs a test where there are so many.
func withProcessors(t *testing.T, n int, test func(t *testing.T)) {
	t.Helper()
	before := runtime.GOMAXPROCS(n)
	defer runtime.GOMAXPROCS(before)
	synctest.Test(t, test)
}

// TestTurns: half of the processors, and one at least.
func TestTurns(t *testing.T) {
	for processors, want := range map[int]int{1: 1, 2: 1, 3: 1, 4: 2, 8: 4} {
		withProcessors(t, processors, func(t *testing.T) {
			if got := Turns(); got != want {
				t.Errorf("%d turns on %d processors, want %d", got, processors, want)
			}
		})
	}
}

// TestAllPortsTogether have the turns that there are: a hundred handshakes at each of three
// ports never compute in greater number, and all of them do.
func TestAllPortsTogether(t *testing.T) {
	withProcessors(t, 8, func(t *testing.T) {
		const each = 100
		p := NewProcessors()
		var now, most, done atomic.Int64
		var wg sync.WaitGroup
		for range 3 {
			port := p.Port()
			for range each {
				c, client := pair(port)
				go func() { _, _ = client.Write([]byte{1}) }()
				wg.Go(func() {
					defer c.Over()
					if _, err := c.Read(make([]byte, 1)); err != nil {
						t.Error(err)
					}
					n := now.Add(1)
					for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
					}
					runtime.Gosched() // computing
					now.Add(-1)
					done.Add(1)
				})
			}
		}
		wg.Wait()
		if got := most.Load(); got > int64(Turns()) || done.Load() != 3*each {
			t.Errorf("%d computed at one time, and %d in all", got, done.Load())
		}
	})
}

// TestPortsShareFairly: a handshake at one port waits for those that compute, and for one more
// of another port that is flooded, not for the hundreds that wait there.
func TestPortsShareFairly(t *testing.T) {
	withProcessors(t, 2, func(t *testing.T) {
		p := NewProcessors()
		flooded, quiet := p.Port(), p.Port()
		first := computing(t, flooded)
		turns := make(chan *Conn, 1000)
		begin := func(port *Port, n int) {
			for range n {
				c, client := pair(port)
				go func() { _, _ = client.Write([]byte{1}) }()
				go func() {
					if _, err := c.Read(make([]byte, 1)); err == nil {
						turns <- c
					}
				}()
			}
			synctest.Wait()
		}
		begin(flooded, 500)
		begin(quiet, 1)
		first.Over()
		before := 0
		for c := range turns {
			c.Over()
			if c.port == quiet {
				break
			}
			before++
		}
		if before > 1 {
			t.Errorf("it waits for %d of the other port", before)
		}
		for range 500 - before {
			c := <-turns
			c.Over()
		}
	})
}

// TestWaitingGivesTheTurnBack: who waits for the other side keeps nobody from computing.
func TestWaitingGivesTheTurnBack(t *testing.T) {
	withProcessors(t, 2, func(t *testing.T) {
		port := NewPort()
		c := computing(t, port)
		read := make(chan error)
		go func() {
			_, err := c.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait() // it waits for its client
		other := computing(t, port)
		_ = c.Close()
		if err := <-read; err == nil {
			t.Error("it goes on after it was closed")
		}
		c.Over()
		other.Over()
		computing(t, port).Over()
	})
}

// TestClosedDoesNotWait: one that is closed while others compute ends at once, and takes no
// turn with it, whichever of the two lines it is in.
func TestClosedDoesNotWait(t *testing.T) {
	withProcessors(t, 2, func(t *testing.T) {
		p := NewProcessors()
		holder, port := computing(t, p.Port()), p.Port()
		const waiting = 10 // one waits for the turn, the others behind it
		ended := make(chan error, waiting)
		var conns []*Conn
		for range waiting {
			c, client := pair(port)
			conns = append(conns, c)
			go func() { _, _ = client.Write([]byte{1}) }()
			go func() {
				_, err := c.Read(make([]byte, 1))
				c.Over()
				ended <- err
			}()
		}
		synctest.Wait()
		for _, c := range conns {
			_ = c.Close()
			_ = c.Close()
		}
		for range conns {
			if err := <-ended; !errors.Is(err, net.ErrClosed) {
				t.Errorf("it ends with %v", err)
			}
		}
		holder.Over()
		computing(t, port).Over()
	})
}

// TestOverTakesNoTurn: what follows the handshake is not counted.
func TestOverTakesNoTurn(t *testing.T) {
	withProcessors(t, 2, func(t *testing.T) {
		port := NewPort()
		c, client := pair(port)
		c.Over()
		holder := computing(t, port)
		go func() { _, _ = c.Write([]byte{7}) }()
		got := make([]byte, 1)
		if _, err := client.Read(got); err != nil || got[0] != 7 {
			t.Errorf("got %d, %v", got[0], err)
		}
		holder.Over()
	})
}
