package node

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/engine"
)

// TestItemsExpireWhileNobodyWrites: on each node, however its reads are confirmed, in each
// protocol, and in the process of the node.
func TestItemsExpireWhileNobodyWrites(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		leases string
		local  bool
	}{
		{"alone", "", false},
		{"leases off", "off", false},
		{"leases of the leader", "leader", false},
		{"leases of all", "all", false},
		{"local reads", "off", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			var nodes []*Node
			if c.leases == "" {
				nodes = []*Node{openNode(t, loneConfig(t))}
			} else {
				nodes = openClusterWith(t, func(cfg *Config) { cfg.Leases, cfg.LocalReads = c.leases, c.local })
				awaitLeader(t, nodes)
				nodes = append(nodes, openReplica(t, nodes, func(cfg *Config) { cfg.Leases, cfg.LocalReads = c.leases, c.local }))
			}
			var wg sync.WaitGroup
			for i, n := range nodes {
				wg.Go(func() { expires(t, n, fmt.Sprint("k", i)) })
			}
			wg.Wait()
		})
	}
}

// expires lets an item expire on a node, and reads it in all ways.
func expires(t *testing.T, n *Node, key string) {
	text, meta := dial(t, n), dial(t, n)
	if got := text.Ask("set "+key+" 0 1 1", "1"); got != "STORED" {
		t.Errorf("set: %q", got)
		return
	}
	<-time.After(1010 * time.Millisecond) // log time is that of the set, until somebody reads
	found := make(chan bool, 1)
	go func() {
		hit := false
		_, err := n.Client().Read(t.Context(), [][]byte{[]byte("other"), []byte(key)}, func(int, engine.Item) { hit = true })
		found <- hit || err != nil
	}()
	text.Send("gets other "+key+" "+key, "get "+key)
	meta.Send("mg "+key+" t v", "mn")
	text.Expect("END", "END")
	meta.Expect("EN", "MN")
	if <-found {
		t.Error("the node's own process finds the item")
	}
}

// absolute stores an item that is to live for an hour by the wall clock, and returns what
// is told of it.
func absolute(t *testing.T, n *Node, key string) (left string) {
	t.Helper()
	c := dial(t, n)
	if got := c.Ask(fmt.Sprintf("set %s 0 %d 1", key, time.Now().Add(time.Hour).Unix()), "1"); got != "STORED" {
		t.Fatalf("set: %q", got)
	}
	return c.Ask("mg " + key + " t")
}

// dumpedExpiry is what a dump tells of when an item expires.
func dumpedExpiry(t *testing.T, n *Node, key string) time.Time {
	t.Helper()
	c := dial(t, n)
	c.Send("lru_crawler metadump all")
	c.Expect("OK")
	for line := range strings.SplitSeq(c.ReadLine(), "\n") { // only the last one, END, has a carriage return
		var seconds int64
		if _, err := fmt.Sscanf(line, "key="+key+" exp=%d", &seconds); err == nil {
			return time.Unix(seconds, 0)
		}
	}
	t.Fatalf("no dump of %s", key)
	return time.Time{}
}

// isAnHour reports whether the answer of absolute tells of about an hour.
func isAnHour(answer string) bool {
	return strings.HasPrefix(answer, "HD t35") && len(answer) == len("HD t3599") || answer == "HD t3600" || answer == "HD t3601"
}

// TestClockThatWasWrongAtFirst: the first start is by a clock two hours ahead, which is set
// right then. Times of day mean what they say, what has expired stays so, and what has
// an hour to live has it; also after a restart.
func TestClockThatWasWrongAtFirst(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	ahead.Store(int64(2 * time.Hour))
	cfg := loneConfig(t)
	cfg.wall = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	n := openNode(t, cfg)
	c := dial(t, n)
	for _, set := range []string{"set long 0 3600 1", "set gone 0 -1 1"} {
		if got := c.Ask(set, "1"); got != "STORED" {
			t.Fatalf("%s: %q", set, got)
		}
	}
	ahead.Store(0)
	await(t, "log time that is known to be ahead", func() bool { return n.engine.OffsetMs() > time.Hour.Milliseconds() })
	for _, when := range []string{"after the clock was set", "after a restart"} {
		if got := absolute(t, n, "abs"); !isAnHour(got) {
			t.Errorf("%s: %q of an item that is to live an hour", when, got)
		}
		if got := dial(t, n).Ask("mg long t"); !isAnHour(got) {
			t.Errorf("%s: %q of an item that was to live an hour", when, got)
		}
		if d := time.Until(dumpedExpiry(t, n, "abs")) - time.Hour; d.Abs() > time.Minute {
			t.Errorf("%s: a dump tells a time that is off by %v", when, d)
		}
		if got := dial(t, n).Ask("mg gone"); got != "EN" {
			t.Errorf("%s: %q of an item that has expired", when, got)
		}
		if when == "after a restart" {
			break
		}
		must(t, n.Close())
		n = openNode(t, cfg)
	}
}

// TestOneClockOfThreeIsAYearAhead when a cluster is formed: nobody notices.
func TestOneClockOfThreeIsAYearAhead(t *testing.T) {
	t.Parallel()
	nodes := openClusterWith(t, func(cfg *Config) {
		if cfg.ServerID == 1 {
			cfg.wall = func() time.Time { return time.Now().AddDate(1, 0, 0) }
		}
	})
	awaitLeader(t, nodes)
	for i, n := range nodes {
		if got := absolute(t, n, fmt.Sprint("abs", i)); !isAnHour(got) {
			t.Errorf("node %d: %q of an item that is to live an hour", i, got)
		}
	}
}
