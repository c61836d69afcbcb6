package server

import (
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/testclient"
	"raftcached/protocol/server/eventloop"
)

// connsOf returns what stats conns reports: by the address of each connection, its
// state and how long it has been idle.
func connsOf(t *testing.T, c *testclient.Client) map[string]string {
	t.Helper()
	stats := c.Stats("conns")
	conns := make(map[string]string)
	for name, addr := range stats {
		if fd, isAddr := strings.CutSuffix(name, ":addr"); isAddr {
			conns[addr] = stats[fd+":state"] + " " + stats[fd+":secs_since_last_cmd"]
		}
	}
	return conns
}

// TestStatsConns lists the connections of all loops, as memcached does.
func TestStatsConns(t *testing.T) {
	started := time.Now()
	s := start(t, newMemory(), func(o *Options) { o.Loops, o.Now = 3, func() time.Time { return started } })
	want := map[string]string{"tcp:" + s.Addr().String(): "conn_listening 0"}
	var clients []*testclient.Client
	for range 7 {
		c := dial(t, s)
		c.Send("version")
		c.Expect("VERSION 1.6.45") // so it was admitted
		clients = append(clients, c)
		want["tcp:"+c.LocalAddr().String()] = "conn_read 0"
	}
	asker := clients[4]
	clients[1].SendBytes("set a 0 0 10\r\n12345")
	await(t, "the half of a set arrived", func() bool {
		return connsOf(t, asker)["tcp:"+clients[1].LocalAddr().String()] == "conn_nread 0"
	})
	want["tcp:"+clients[1].LocalAddr().String()] = "conn_nread 0"
	want["tcp:"+asker.LocalAddr().String()] = "conn_parse_cmd 0"
	if got := connsOf(t, asker); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	for name, value := range asker.Stats("conns") {
		if strings.HasSuffix(name, ":listen_addr") && value != "tcp:"+s.Addr().String() {
			t.Errorf("%s is %s, want tcp:%s", name, value, s.Addr())
		}
	}
}

// TestStatsConnsInAPipeline: the answer is in the order of the requests.
func TestStatsConnsInAPipeline(t *testing.T) {
	b := newMemory()
	s := start(t, b, func(o *Options) { o.Loops = 2 })
	c := dial(t, s)
	b.set(func(b *memory) { b.delayBarriers = true })
	c.Send("set a 0 0 1", "1", "stats conns", "get a", "stats conns", "version", "quit")
	lines := strings.Split(c.ReadAll(), "\r\n")
	lines = slices.DeleteFunc(lines, func(line string) bool {
		return regexp.MustCompile(`^STAT \d+:(addr|listen_addr|state|secs_since_last_cmd) `).MatchString(line)
	})
	want := []string{"STORED", "END", "VALUE a 0 1", "1", "END", "END", "VERSION 1.6.45", ""}
	if !slices.Equal(lines, want) {
		t.Errorf("got %q, want %q", lines, want)
	}
}

// TestStatsConnsInSteps: none tells of more than some connections, however many there are, and
// other connections of the loop have their turn between two steps.
func TestStatsConnsInSteps(t *testing.T) {
	const more = 2*listingConnsMax + 1
	f, _ := openDumping(t)
	f.c.loop.server.engine = &eventloop.Engine{} // without listeners
	others := make([]*fakeConn, more)
	for i := range others {
		others[i] = &fakeConn{loop: f.loop, limit: -1}
		others[i].handler = f.c.loop.Open(others[i])
	}
	others[3].Close() // its place is free
	others[listingConnsMax].Close()
	f.receive("stats conns\r\nversion\r\n")
	lists := func(what string, wait wait, conns int, end string) {
		t.Helper()
		for len(f.loop.posted) > 0 { // the loop describes connections, and posts that to itself
			posted := f.loop.posted
			f.loop.posted = nil
			for _, post := range posted {
				post()
			}
		}
		answer := f.takeReplies()
		if got := strings.Count(answer, ":state conn_"); got != conns || f.c.wait != wait || !strings.HasSuffix(answer, end) {
			t.Errorf("%s: %d connections, want %d; then it waits for %d, want %d:\n%s", what, got, conns, f.c.wait, wait, answer)
		}
	}
	lists("the first step", waitTurn, listingConnsMax-1, "secs_since_last_cmd 0\r\n")
	f.waiting = outboundBytesMax + 1
	f.c.loop.dumpStep()
	lists("the second one", waitClient, listingConnsMax-1, "secs_since_last_cmd 0\r\n")
	f.waiting = 0
	f.c.Writable()
	lists("the last one", waitTurn, 2, "\r\nEND\r\n")
	f.c.loop.dumpStep()
	f.wantWait(t, "the listing is over", waitNothing, "VERSION \r\n")
	if f.c.listing != nil {
		t.Error("the listing is kept")
	}
}

// TestStatsConnsOfMany: each is told of once, by its descriptor.
func TestStatsConnsOfMany(t *testing.T) {
	const many = 3 * listingConnsMax
	s := start(t, newMemory(), func(o *Options) { o.Loops = 2 })
	want := map[string]int{"tcp:" + s.Addr().String(): 1}
	var asker *testclient.Client
	for range many {
		asker = dial(t, s)
		asker.Send("version")
		asker.Expect("VERSION 1.6.45") // so it was admitted
		want["tcp:"+asker.LocalAddr().String()] = 1
	}
	asker.Send("stats conns")
	got := make(map[string]int)
	for line := asker.ReadLine(); line != "END"; line = asker.ReadLine() {
		if name, addr, _ := strings.Cut(strings.TrimPrefix(line, "STAT "), " "); strings.HasSuffix(name, ":addr") {
			got[addr]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("%d connections are told of, want %d, each once", len(got), len(want))
	}
}

// TestStatsConnsOfWhoLeaves: a client may end its input after the request, or be
// gone when the answer comes.
func TestStatsConnsOfWhoLeaves(t *testing.T) {
	s := start(t, newMemory(), func(o *Options) { o.Loops = 2 })
	c := dial(t, s)
	c.Send("stats conns")
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if answer := c.ReadAll(); !strings.HasSuffix(answer, "END\r\n") {
		t.Errorf("got %q", answer)
	}
	for range 50 {
		c := dial(t, s)
		c.Send("stats conns")
		_ = c.Close()
	}
	await(t, "all are gone", func() bool { return s.engine.Counts().Open == 0 })
}

// TestStatsConnsTellsIdleTime: in whole sweeps.
func TestStatsConnsTellsIdleTime(t *testing.T) {
	s := start(t, newMemory(), func(o *Options) { o.PartialTimeout = time.Hour })
	idle, asker := dial(t, s), dial(t, s)
	idle.Send("version")
	idle.Expect("VERSION 1.6.45")
	onLoop(s, func(l *loop) {
		for range 3 {
			l.Tick()
		}
	})
	got := connsOf(t, asker)["tcp:"+idle.LocalAddr().String()]
	if !regexp.MustCompile(`^conn_read ([3-9]|\d\d)$`).MatchString(got) { // ticks may come on top
		t.Errorf("after three sweeps of a second it is %q", got)
	}
}

func TestStatsConnsOverIPv6(t *testing.T) {
	if ln, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skipf("needs IPv6: %v", err)
	} else if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	s := start(t, newMemory(), func(o *Options) { o.Listen = []string{"[::1]:0"} })
	c := dial(t, s)
	if got := connsOf(t, c)["tcp6:"+c.LocalAddr().String()]; got != "conn_parse_cmd 0" {
		t.Errorf("got %q", got)
	}
}
