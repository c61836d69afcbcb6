package server

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"
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
	c.send("set a 0 0 1", "1", "add a 0 0 1", "1", "get a b a", "gat 0 a b", "touch a 0", "touch b 0",
		"incr a 1", "incr b 1", "decr a 1", "decr b 1", "cas a 0 0 1 1", "1", "cas b 0 0 1 1", "1",
		"gets a", "delete a", "delete a", "flush_all", "cas a 0 0 1 99", "1")
	c.expect("STORED", "NOT_STORED", "VALUE a 0 1", "1", "VALUE a 0 1", "1", "END", "VALUE a 0 1", "1", "END", "TOUCHED", "NOT_FOUND",
		"2", "NOT_FOUND", "1", "NOT_FOUND", "EXISTS", "NOT_FOUND",
		"VALUE a 0 1 3", "1", "END", "DELETED", "NOT_FOUND", "OK", "NOT_FOUND")
	stats := c.stats("")
	for name, want := range map[string]string{
		"pid": fmt.Sprint(os.Getpid()), "uptime": "90", "time": fmt.Sprint(now.Load()),
		"version": "1.6.45", "raftcached_version": "0.1.0", "pointer_size": "64",
		"curr_connections": "1", "total_connections": "1", "rejected_connections": "0", "threads": "1",
		"cmd_get": "6", "cmd_set": "5", "cmd_flush": "1", "cmd_touch": "4",
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

	c.send("stats reset")
	c.expect("RESET")
	if stats := c.stats(""); stats["cmd_get"] != "0" || stats["total_connections"] != "0" || stats["curr_connections"] != "1" {
		t.Errorf("after a reset: cmd_get %s, total_connections %s, curr_connections %s",
			stats["cmd_get"], stats["total_connections"], stats["curr_connections"])
	}
}

func TestStatsArguments(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.Verbosity = 2 }))
	for _, arg := range []string{"items", "slabs", "sizes", "conns", "cachedump 1 1", "detail dump"} {
		c.send("stats " + arg)
		c.expect("END")
	}
	c.send("stats detail on", "stats detail off", "stats detail", "stats raft", "stats nonsense")
	c.expect("OK", "OK", "CLIENT_ERROR usage: stats detail on|off|dump", "STAT raft_state leader", "END", "ERROR")
	settings := c.stats("settings")
	for name, want := range map[string]string{"maxconns": "1024", "verbosity": "2", "item_size_max": "1048576", "flush_enabled": "yes", "shutdown_command": "no", "client_flags_size": "4"} {
		if settings[name] != want {
			t.Errorf("STAT %s %q, want %q", name, settings[name], want)
		}
	}
}

func TestFlushAllMayBeForbidden(t *testing.T) {
	c := dial(t, start(t, newMemory(), func(o *Options) { o.FlushDisabled = true }))
	c.send("set a 0 0 1", "x", "flush_all", "flush_all noreply", "get a")
	c.expect("STORED", "CLIENT_ERROR flush_all not allowed", "VALUE a 0 1", "x", "END")
}

func TestShutdownOnlyIfAllowed(t *testing.T) {
	c := dial(t, start(t, newMemory()))
	c.send("shutdown")
	c.expect("SERVER_ERROR: shutdown not enabled")

	asked := make(chan struct{})
	c = dial(t, start(t, newMemory(), func(o *Options) { o.Shutdown = func() { close(asked) } }))
	c.send("set a 0 0 1", "x", "shutdown")
	c.expect("STORED")
	<-asked
}
