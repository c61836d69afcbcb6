package server

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"

	"raftcached/internal/testclient"
	"raftcached/protocol/server/eventloop"
)

func TestStartNamesTheAddressInUse(t *testing.T) {
	s := start(t, newMemory())
	addr := s.Addr().String()
	_, err := Start(Options{Listen: []string{"127.0.0.1:0", addr}}, newMemory())
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "address already in use") {
		t.Errorf("second server on the port: error %v, want one that names %s", err, addr)
	}
}

func TestStartRefusesWrongOptions(t *testing.T) {
	for name, o := range map[string]Options{
		"no address":           {},
		"negative loops":       {Listen: []string{"127.0.0.1:0"}, Loops: -1},
		"too many loops":       {Listen: []string{"127.0.0.1:0"}, Loops: eventloop.LoopsMax + 1},
		"negative connections": {Listen: []string{"127.0.0.1:0"}, MaxConnections: -1},
		"negative item":        {Listen: []string{"127.0.0.1:0"}, ItemBytesMax: -1},
		"bad address":          {Listen: []string{"127.0.0.1"}},
	} {
		if s, err := Start(o, newMemory()); err == nil {
			t.Errorf("%s: started", name)
			_ = s.Close(context.Background())
		}
	}
}

func TestRestartTakesThePortAtOnce(t *testing.T) {
	addr := "127.0.0.1:0"
	for range 3 {
		s, err := Start(Options{Listen: []string{addr}, Loops: 2}, newMemory())
		if err != nil {
			t.Fatal(err)
		}
		addr = s.Addr().String()
		c := dial(t, s)
		c.Send("version")
		c.Expect("VERSION 1.6.45")
		if err := s.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		c.ExpectClosed()
	}
}

func TestAllListenersAndLoopsServe(t *testing.T) {
	s := start(t, newMemory(), func(o *Options) {
		o.Listen = []string{"127.0.0.1:0", "127.0.0.1:0"}
		o.Loops = 3
	})
	var clients sync.WaitGroup
	for i := range 12 {
		c := testclient.Dial(t, s.Addrs()[i%2].String())
		clients.Go(func() {
			for n := range 200 {
				request := fmt.Sprintf("set k%d 0 0 3\r\n%03d\r\nget k%d\r\n", i, n, i)
				reply := fmt.Sprintf("STORED\r\nVALUE k%d 0 3\r\n%03d\r\nEND\r\n", i, n)
				got := make([]byte, len(reply))
				_, _ = io.WriteString(c, request) // an error shows in the reply
				if _, err := io.ReadFull(c, got); err != nil || string(got) != reply {
					t.Errorf("got %q (error %v), want %q", got, err, reply)
					return
				}
			}
		})
	}
	clients.Wait()
	used := 0
	for _, l := range s.loops {
		served := make(chan int)
		l.Post(func() { served <- len(slices.Collect(l.conns.all())) })
		if <-served > 0 {
			used++
		}
	}
	if used != 3 {
		t.Errorf("%d of 3 loops served", used)
	}
}

func TestCloseLetsOutstandingAnswersLeave(t *testing.T) {
	for name, mode := range modes {
		t.Run(name, func(t *testing.T) {
			b := newMemory()
			mode(t, b)
			b.hold()
			s := start(t, b)
			idle, busy := dial(t, s), dial(t, s)
			busy.Send("set a 0 0 1", "x", "set b 0 0 1", "y", "get a")
			b.awaitEvents(1)
			awaitDrain := make(chan error, 1)
			go func() { awaitDrain <- s.Close(context.Background()) }()
			idle.ExpectClosed()
			b.release()
			busy.Expect("STORED", "STORED", "VALUE a 0 1", "x", "END")
			busy.ExpectClosed()
			if err := <-awaitDrain; err != nil {
				t.Errorf("close: %v", err)
			}
			if _, err := net.Dial("tcp", s.Addr().String()); err == nil {
				t.Error("a closed server accepts")
			}
		})
	}
}

func TestCloseCutsConnectionsAfterItsDeadline(t *testing.T) {
	b := newMemory()
	b.hold()
	s := start(t, b)
	open, half := dial(t, s), dial(t, s)
	open.Send("set a 0 0 1", "x")
	half.Send("set a 0 0 1", "x")
	b.awaitEvents(2)
	if err := half.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of input was seen", func() (seen bool) {
		onLoop(s, func(l *loop) {
			for c := range l.conns.all() {
				seen = seen || c.life == lifeEnding
			}
		})
		return seen
	})
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := s.Close(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("close: %v, want %v", err, context.Canceled)
	}
	open.ExpectClosed()
	half.ExpectClosed()
	if n := s.engine.Counts().Open; n != 0 {
		t.Errorf("%d connections are open", n)
	}
	b.release() // answers that come too late are dropped
}
