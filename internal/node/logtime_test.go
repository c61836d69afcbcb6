package node

import (
	"fmt"
	"sync"
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
