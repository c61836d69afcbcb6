package server

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/testclient"
	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

func TestStats(t *testing.T) {
	var now atomic.Int64
	now.Store(1_700_000_000)
	s := start(t, newMemory(), func(o *Options) {
		o.Now = func() time.Time { return time.Unix(now.Load(), 0) }
		o.RaftcachedVersion = "0.1.0"
	})
	c := dial(t, s)
	now.Add(90)
	c.Send("set a 0 0 1", "1", "add a 0 0 1", "1", "get a b a", "gat 0 a b", "touch a 0", "touch b 0",
		"incr a 1", "incr b 1", "decr a 1", "decr b 1", "cas a 0 0 1 1", "1", "cas b 0 0 1 1", "1",
		"gets a", "delete a", "delete a", "flush_all", "cas a 0 0 1 99", "1")
	c.Expect("STORED", "NOT_STORED", "VALUE a 0 1", "1", "VALUE a 0 1", "1", "END", "VALUE a 0 1", "1", "END", "TOUCHED", "NOT_FOUND",
		"2", "NOT_FOUND", "1", "NOT_FOUND", "EXISTS", "NOT_FOUND",
		"VALUE a 0 1 3", "1", "END", "DELETED", "NOT_FOUND", "OK", "NOT_FOUND")
	stats := c.Stats("")
	for name, want := range map[string]string{
		"pid": fmt.Sprint(os.Getpid()), "uptime": "90", "time": fmt.Sprint(now.Load()),
		"version": "1.6.45", "raftcached_version": "0.1.0", "pointer_size": "64",
		"curr_connections": "1", "total_connections": "1", "rejected_connections": "0", "threads": "1",
		"cmd_get": "4", "cmd_set": "5", "cmd_flush": "1", "cmd_touch": "4",
		"get_hits": "3", "get_misses": "1", "touch_hits": "2", "touch_misses": "2",
		"delete_hits": "1", "delete_misses": "1", "incr_hits": "1", "incr_misses": "1",
		"decr_hits": "1", "decr_misses": "1", "cas_hits": "0", "cas_misses": "2", "cas_badval": "1",
		"curr_items": "0",
	} {
		if stats[name] != want {
			t.Errorf("STAT %s %s, want %s", name, stats[name], want)
		}
	}
	for _, name := range []string{"libevent", "rusage_user", "rusage_system", "bytes_read", "bytes_written"} {
		if stats[name] == "" || stats[name] == "0" {
			t.Errorf("STAT %s is %q", name, stats[name])
		}
	}

	c.Send("stats reset")
	c.Expect("RESET")
	if stats := c.Stats(""); stats["cmd_get"] != "0" || stats["total_connections"] != "0" || stats["curr_connections"] != "1" {
		t.Errorf("after a reset: cmd_get %s, total_connections %s, curr_connections %s",
			stats["cmd_get"], stats["total_connections"], stats["curr_connections"])
	}
}

// TestStatsCountWhatIsAnswered: who has an answer, and asks for the stats on a connection
// of another loop, finds it counted.
func TestStatsCountWhatIsAnswered(t *testing.T) {
	f := openFake(newMemory(), "get a\r\n")
	collector := stats.NewCollector(stats.Settings{}, stats.Source{
		Loops: []*stats.Counters{&f.c.loop.counters}, Now: time.Now,
		Conns: func() stats.Connections { return stats.Connections{} },
		State: func() stats.State { return stats.State{} },
	})
	var counted uint64
	f.writes = func() {
		counts, _ := collector.SinceStart()
		counted = counts["cmd_get"]
	}
	f.turn()
	if counted != 1 {
		t.Errorf("%d gets are counted when the first is answered", counted)
	}
}

// TestStatsTellTheState: plain stats and those of items and slabs report the state
// of the cache. A reset is this server's own.
func TestStatsTellTheState(t *testing.T) {
	b := newMemory()
	s := start(t, b)
	c := dial(t, s)
	c.Send("stats items", "stats slabs", "set a 0 0 1", "1", "set b 0 0 1", "1", "get a", "get x")
	c.Expect("END", "STAT active_slabs 0", "STAT total_malloced 0", "END", "STORED", "STORED", "VALUE a 0 1", "1", "END", "END")
	b.set(func(b *memory) {
		b.state = stats.State{
			TotalItems: 7, Bytes: 301, LimitBytes: 64 << 20, Evicts: true,
			Evictions: 3, EvictedUnfetched: 2, Reclaimed: 5, ExpiredUnfetched: 4, GetExpired: 1,
			Age: 100 * time.Second, EvictedAge: 90 * time.Second,
			AllocatedBytes: 2<<20 + 1, IndexBuckets: 130, IndexBytes: 8320, IndexResizing: true,
		}
	})
	for _, answer := range []struct {
		arg  string
		want map[string]string
	}{
		{"", map[string]string{
			"curr_items": "2", "total_items": "7", "bytes": "301", "limit_maxbytes": "67108864",
			"evictions": "3", "evicted_unfetched": "2", "reclaimed": "5", "expired_unfetched": "4", "get_expired": "1",
			"hash_power_level": "7", "hash_bytes": "8320", "hash_is_expanding": "1",
		}},
		{"items", map[string]string{
			"items:1:number": "2", "items:1:age": "100", "items:1:mem_requested": "301", "items:1:evicted": "3",
			"items:1:evicted_time": "90", "items:1:outofmemory": "0", "items:1:tailrepairs": "0", "items:1:reclaimed": "5",
			"items:1:expired_unfetched": "4", "items:1:evicted_unfetched": "2",
		}},
		{"slabs", map[string]string{
			"1:chunk_size": "151", "1:chunks_per_page": "6944", "1:total_pages": "3", "1:total_chunks": "20832",
			"1:used_chunks": "2", "1:free_chunks": "20830", "1:free_chunks_end": "0", "1:get_hits": "1", "1:cmd_set": "2",
			"active_slabs": "1", "total_malloced": "2097153",
		}},
		{"settings", map[string]string{"maxbytes": "67108864", "evictions": "on"}},
	} {
		wantStats(t, c, answer.arg, answer.want)
	}
	c.Send("stats reset")
	c.Expect("RESET")
	wantStats(t, c, "", map[string]string{
		"curr_items": "2", "bytes": "301", "total_items": "0", "evictions": "0", "reclaimed": "0", "get_expired": "0",
	})
}

// wantStats compares some of the statistics.
func wantStats(t *testing.T, c *testclient.Client, arg string, want map[string]string) {
	t.Helper()
	stats := c.Stats(arg)
	for name, value := range want {
		if stats[name] != value {
			t.Errorf("stats %s: STAT %s %q, want %q", arg, name, stats[name], value)
		}
	}
}

// TestStatsSuitParsers: programs take a name with a colon for a slab's, divide by
// the uptime, and fail if items and slabs have a name in common.
func TestStatsSuitParsers(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.Send("set a 0 0 1", "1")
	c.Expect("STORED")
	plain := c.Stats("")
	if plain["uptime"] != "1" {
		t.Errorf("uptime of a server that has just started is %s, want 1", plain["uptime"])
	}
	for name := range plain {
		if strings.Contains(name, ":") {
			t.Errorf("plain stats have %s", name)
		}
	}
	for _, name := range []string{"rusage_user", "rusage_system"} {
		if !regexp.MustCompile(`^\d+\.\d{6}$`).MatchString(plain[name]) {
			t.Errorf("STAT %s %s, want seconds with six digits after the point", name, plain[name])
		}
	}
	if _, twice := c.Stats("slabs")["1:mem_requested"]; twice {
		t.Error("mem_requested stands in items and in slabs")
	}
}

func TestStatsCountRefusedStores(t *testing.T) {
	b := newMemory()
	c := dial(t, start(t, b, func(o *Options) { o.ItemBytesMax = 1000 }))
	large := strings.Repeat("x", 2000)
	c.Send("set a 0 0 2000", large, "add a 0 0 2000", large)
	c.Expect("SERVER_ERROR object too large for cache", "SERVER_ERROR object too large for cache")
	b.set(func(b *memory) { b.writeStatus = protocol.StatusOutOfMemory })
	c.Send("set a 0 0 1", "x")
	c.Expect("SERVER_ERROR out of memory storing object")
	wantStats(t, c, "", map[string]string{"store_too_large": "2", "store_no_memory": "1", "cmd_set": "0"})
}

func TestStatsArguments(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.Verbosity = 2 }))
	for _, arg := range []string{"items", "detail dump"} {
		c.Send("stats " + arg)
		c.Expect("END")
	}
	c.Send("stats sizes", "stats detail on", "stats detail off", "stats detail", "stats raft", "stats nonsense")
	c.Expect("STAT sizes_status disabled", "END", "OK", "OK", "CLIENT_ERROR usage: stats detail on|off|dump",
		"STAT raft_state leader", "END", "ERROR")
	c.Send("stats reset now", "stats reset")
	c.Expect("RESET", "RESET")
	wantStats(t, c, "settings", map[string]string{
		"maxconns": "1024", "verbosity": "2", "item_size_max": "1048576", "flush_enabled": "yes", "evictions": "off",
		"shutdown_command": "no", "client_flags_size": "4",
	})
}

func TestFlushAllMayBeForbidden(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.FlushDisabled = true }))
	c.Send("set a 0 0 1", "x", "flush_all", "flush_all noreply", "get a")
	c.Expect("STORED", "CLIENT_ERROR flush_all not allowed", "VALUE a 0 1", "x", "END")
}

func TestShutdownOnlyIfAllowed(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.Send("shutdown")
	c.Expect("SERVER_ERROR: shutdown not enabled")

	asked := make(chan struct{})
	c = dial(t, start(t, newMemory(), func(o *Options) { o.Shutdown = func() { close(asked) } }))
	c.Send("set a 0 0 1", "x", "shutdown")
	c.Expect("STORED")
	<-asked
}
