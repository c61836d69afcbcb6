package protocol

import (
	"testing"
)

// TestEveryCommandHasARight: the table names each command once more than the list of
// names does, and agrees with what the commands say of themselves.
func TestEveryCommandHasARight(t *testing.T) {
	if len(commandRights) != len(commandNames) {
		t.Fatalf("%d commands have a right, of %d", len(commandRights), len(commandNames))
	}
	// These are meant to need the right that a command has which nobody thought of.
	wholeServer := map[Command]bool{FlushAll: true, CacheMemlimit: true, Verbosity: true, Stats: true, Crawler: true, Shutdown: true, RefreshCerts: true}
	for i := range commandNames {
		c := Command(i)
		right := commandRights[c]
		if c.String() == "" {
			t.Errorf("command %d has no name", c)
		}
		if right == RightServer && !wholeServer[c] {
			t.Errorf("%v is not in the table", c)
		}
		if c.IsWrite() && right != RightWrite && right != RightServer {
			t.Errorf("%v is a write, and needs right %d", c, right)
		}
		if c.IsRead() != (right == RightRead) {
			t.Errorf("%v: it is a read is %t, and it needs right %d", c, c.IsRead(), right)
		}
		if c.IsDump() && right != RightList {
			t.Errorf("%v lists items, and needs right %d", c, right)
		}
	}
}

// TestEveryOpcodeHasARight: no packet gets past the table either.
func TestEveryOpcodeHasARight(t *testing.T) {
	for number, op := range opcodes {
		if int(op.command) >= len(commandRights) {
			t.Errorf("opcode %#02x is command %d, which has no right", number, op.command)
		}
	}
}

// TestRightsOfRequests: what the requests of a client need, as they are parsed.
func TestRightsOfRequests(t *testing.T) {
	for _, test := range []struct {
		want     Right
		requests []string
	}{
		{RightNone, []string{
			"version", "mn", "quit", "watch", "nonsense", "config get cluster", "stats", "stats settings", "stats items", "stats raft", "stats cluster", "stats tls", "stats latency",
		}},
		{RightRead, []string{"get a", "gets a b", "mg a", "mg a v t f c s k E5 q", "mg YQ== b v", "me a"}},
		{RightWrite, []string{
			"set a 0 0 1\r\nx", "add a 0 0 1 noreply\r\nx", "replace a 0 0 1\r\nx", "append a 0 0 1\r\nx", "prepend a 0 0 1\r\nx", "cas a 0 0 1 5\r\nx",
			"gat 0 a", "gats 0 a b", "touch a 0", "delete a", "incr a 1", "decr a 1 noreply",
			"mg a T0", "mg a N0 v", "mg a R30 v", "mg a v q N0 T9", "ms a 1\r\nx", "ms a 1 I MA q\r\nx", "md a", "md a I q", "ma a", "ma a N0 q",
		}},
		{RightList, []string{
			"lru_crawler metadump all", "lru_crawler mgdump hash", "stats cachedump 1 0", "stats conns", "stats detail dump", "stats hotkeys", "stats slow",
		}},
		{RightServer, []string{
			"flush_all", "flush_all 0 noreply", "cache_memlimit 100", "verbosity 1", "shutdown", "shutdown graceful", "refresh_certs", "stats reset", "stats detail on", "stats detail off",
			"stats reset  more", "stats nonsense", "lru_crawler enable", "lru_crawler disable", "lru_crawler crawl all", "lru_crawler sleep 5", "lru_crawler tocrawl 5",
		}},
	} {
		for _, text := range test.requests {
			var req Request
			if _, v := NewParser(1<<20, nil).Parse([]byte(text+"\r\n"), &req); v != Ready {
				t.Fatalf("%q is verdict %d", text, v)
			}
			if got := req.Right(); got != test.want {
				t.Errorf("%q needs right %d, want %d", text, got, test.want)
			}
		}
	}
}
