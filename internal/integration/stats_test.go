package integration

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
	"raftcached/internal/transcript"
)

// absentStats lists the stats of memcached that this server does not have: the answer
// that contains them, their names, and the reason. A star stands for the rest of a
// name.
var absentStats = []struct{ arg, names, reason string }{
	{"", "response_obj_* read_buf_*", "replies and input have no pools"},
	{"", "reserved_fds", "no descriptors are reserved"},
	{"", "slab_* slabs_moved", "there are no slabs"},
	{"", "lru_* lrutail_reflocked moves_* evicted_active direct_reclaims", "there is no LRU"},
	{"", "crawler_*", "there is no crawler: expired items are removed without one"},
	{"", "log_*", "there are no watchers"},
	{"", "malloc_fails", "exhaustion of real memory ends the process"},
	{"", "unexpected_napi_ids round_robin_fallback", "threads are not chosen by network queue"},

	{"settings", "oldest", "a flush frees the items at once"},
	{"settings", "umask", "there is no unix socket"},
	{"settings", "growth_factor chunk_size slab_chunk_max slab_automove_*", "there are no slabs"},
	{"settings", "num_threads_per_udp", "there is no UDP"},
	{"settings", "reqs_per_event", "a connection continues until there is no room for its answers"},
	{"settings", "tcp_backlog", "it is the system's"},
	{"settings", "hashpower_init", "the index grows by itself"},
	{"settings", "lru_crawler_* tail_repair_time hot_* warm_* temp_lru temporary_ttl", "there is no LRU"},
	{"settings", "watcher_logbuf_size worker_logbuf_size", "there are no watchers"},
	{"settings", "read_buf_mem_limit", "input has no pool"},
	{"settings", "inline_ascii_response", "it is a way to build replies"},
	{"settings", "ext_*", "nothing is moved to disk"},
	{"settings", "ssl_*", "they are there with `-Z`, but for `ssl_wbuf_size`: output has no buffer of a set size"},
	{"settings", "num_napi_ids", "threads are not chosen by network queue"},
	{"settings", "memory_file", "the raft log restores the items"},

	{"items", "number_* age_* moves_* hits_to_* evicted_active lrutail_reflocked direct_reclaims", "there is no LRU"},
	{"items", "crawler_*", "there is no crawler"},
	{"items", "evicted_nonzero", "eviction does not look at expiry"},
}

// statsArgs lists the answers that are compared.
var statsArgs = []string{"", "settings", "items", "slabs"}

// TestStatsNamesOfMemcached compares the names, answer by answer, with those of a
// real memcached, which TEST_RAFTCACHED_MEMCACHED may name.
func TestStatsNamesOfMemcached(t *testing.T) {
	ctx, server, memcached := startBoth(t)
	newest := !transcript.OlderThan(strings.TrimPrefix(memcached.Version, "memcached "), "1.6.45")
	for _, arg := range statsArgs {
		ours, theirs := statsOf(ctx, t, server.ClientAddr, arg), statsOf(ctx, t, memcached.Addr, arg)
		for _, name := range slices.Sorted(maps.Keys(theirs)) {
			_, have := ours[name]
			switch reason := absent(arg, name); {
			case !have && reason == "":
				t.Errorf("stats %s: %s has %s %s, this server does not and absentStats has no reason", arg, memcached.Version, name, theirs[name])
			case have && reason != "":
				t.Errorf("stats %s: %s is absent because %s, but this server has it", arg, name, reason)
			}
		}
		for _, name := range slices.Sorted(maps.Keys(ours)) {
			if _, known := theirs[name]; !known && newest && name != "raftcached_version" {
				t.Errorf("stats %s: this server has %s, %s does not", arg, name, memcached.Version)
			}
		}
	}
}

// TestAbsentStatsAreListed holds docs/statistics.md against absentStats.
func TestAbsentStatsAreListed(t *testing.T) {
	text, err := os.ReadFile("../../docs/statistics.md")
	must(t, err)
	for _, a := range absentStats {
		names := "`" + strings.ReplaceAll(a.names, " ", "` `") + "`"
		row := fmt.Sprintf("| `%s` | %s | %s |", strings.TrimSpace("stats "+a.arg), names, a.reason)
		if !strings.Contains(string(text), row+"\n") {
			t.Errorf("docs/statistics.md lacks the row %s", row)
		}
	}
}

// absent returns why this server does not have a stat of memcached, or "".
func absent(arg, name string) string {
	name = name[strings.LastIndexByte(name, ':')+1:]
	for _, a := range absentStats {
		for pattern := range strings.FieldsSeq(a.names) {
			prefix, isPrefix := strings.CutSuffix(pattern, "*")
			if a.arg == arg && (name == pattern || isPrefix && strings.HasPrefix(name, prefix)) {
				return a.reason
			}
		}
	}
	return ""
}

// TestStatsCountAsMemcachedDoes sends both servers the same commands: their counts are
// equal.
func TestStatsCountAsMemcachedDoes(t *testing.T) {
	ctx, server, memcached := startBoth(t)
	large := strings.Repeat("x", 2<<20)
	session := strings.Join([]string{
		"set a 0 0 1", "1", "add a 0 0 1", "1", "add b 0 0 1", "2", "replace a 0 0 1", "3", "replace z 0 0 1", "3",
		"append a 0 0 1", "4", "prepend z 0 0 1", "4", "get a b z", "gets a z", "gat 0 a b z", "gats 0 a z",
		"touch a 0", "touch z 0", "incr a 1", "incr z 1", "decr a 1", "decr z 1", "delete b", "delete z",
		"cas a 0 0 1 18446744073709551615", "5", "cas z 0 0 1 1", "5", "set n 0 0 1", "x", "incr n 1", "get",
		"set big 0 0 2097152", large, "set e 0 -1 1", "x", "get e", "touch e 0", "flush_all", "get a", "version", "set k 0 0 1", "x", "verbosity 0", "quit",
	}, "\r\n") + "\r\n"
	for _, arg := range []string{"", "slabs"} {
		before := map[string]map[string]string{}
		for _, addr := range []string{server.ClientAddr, memcached.Addr} {
			if arg == "" {
				before[addr] = statsOf(ctx, t, addr, "")
				converse(t, addr, session)
			}
		}
		ours, theirs := statsOf(ctx, t, server.ClientAddr, arg), statsOf(ctx, t, memcached.Addr, arg)
		for name, value := range theirs {
			if !countsCommands(name) {
				continue
			}
			if grown(ours[name], before[server.ClientAddr][name]) != grown(value, before[memcached.Addr][name]) {
				t.Errorf("stats %s: %s grew by %d, memcached's by %d", arg, name,
					grown(ours[name], before[server.ClientAddr][name]), grown(value, before[memcached.Addr][name]))
			}
		}
	}
	for _, addr := range []string{server.ClientAddr, memcached.Addr} {
		converse(t, addr, "stats reset\r\nquit\r\n")
	}
	ours, theirs := statsOf(ctx, t, server.ClientAddr, ""), statsOf(ctx, t, memcached.Addr, "")
	for name, value := range theirs {
		if countsCommands(name) && ours[name] != value {
			t.Errorf("after a reset %s is %s, memcached's %s", name, ours[name], value)
		}
	}
}

// countsCommands reports whether a stat counts the commands of clients. Such a count
// must be equal, with or without slabs.
func countsCommands(name string) bool {
	name = name[strings.LastIndexByte(name, ':')+1:]
	for _, suffix := range []string{"_hits", "_misses", "_badval"} {
		if strings.HasSuffix(name, suffix) {
			return true
		}
	}
	return strings.HasPrefix(name, "cmd_") || strings.HasPrefix(name, "store_")
}

// grown returns by how much a count grew. An absent count is 0.
func grown(after, before string) int {
	var a, b int
	_, _ = fmt.Sscan(after, &a)
	_, _ = fmt.Sscan(before, &b)
	return a - b
}

// startBoth starts one server and one memcached, each with an item that was read.
func startBoth(t *testing.T) (context.Context, *cluster.Server, *cluster.Memcached) {
	t.Helper()
	cluster.NeedMemcached(t)
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	memcached, err := cluster.StartMemcached(ctx, t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, memcached.Close()) })
	for _, addr := range []string{c.Servers[0].ClientAddr, memcached.Addr} {
		converse(t, addr, "set first 0 0 1\r\nx\r\nget first\r\nquit\r\n")
	}
	return ctx, c.Servers[0], memcached
}

func statsOf(ctx context.Context, t *testing.T, addr, arg string) map[string]string {
	t.Helper()
	stats, err := cluster.Stats(ctx, addr, arg)
	must(t, err)
	return stats
}

// converse sends a session that ends with quit, and reads all answers.
func converse(t *testing.T, addr, session string) {
	t.Helper()
	c := testclient.Dial(t, addr)
	c.SendBytes(session)
	c.ReadAll()
}

// TestStatsCluster: every server reports every member, its addresses, which one leads,
// and, when one is killed, that it cannot be reached.
func TestStatsCluster(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: steady()})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	for _, s := range c.Servers {
		want := map[string]string{"servers": "3", "servers_majority": "2", "servers_reachable": "3"}
		for _, member := range c.Servers {
			name := fmt.Sprintf("server:%d:", member.ID)
			want[name+"address"] = member.ClientAddr
			want[name+"self"] = yesNo(member == s)
			want[name+"leader"] = yesNo(member == leader)
			want[name+"reachable"] = "yes"
		}
		must(t, awaitStats(ctx, s.ClientAddr, "cluster", want))
	}
	gone := followersOf(c, leader)[0]
	must(t, gone.Kill())
	must(t, awaitStats(ctx, leader.ClientAddr, "cluster", map[string]string{
		"servers_reachable": "2", fmt.Sprintf("server:%d:reachable", gone.ID): "no",
	}))
	must(t, gone.Start())
	must(t, awaitStats(ctx, leader.ClientAddr, "cluster", map[string]string{"servers_reachable": "3"}))
}

// awaitStats waits until a server reports the given stats.
func awaitStats(ctx context.Context, addr, arg string, want map[string]string) error {
	return cluster.Await(ctx, func() error {
		stats, err := cluster.Stats(ctx, addr, arg)
		if err != nil {
			return err
		}
		for name, value := range want {
			if stats[name] != value {
				return fmt.Errorf("stats %s of %s: %s is %q, want %q", arg, addr, name, stats[name], value)
			}
		}
		return nil
	})
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// TestMemcachedTool lets memcached's own script print its table.
func TestMemcachedTool(t *testing.T) {
	const script = "/usr/share/memcached/scripts/memcached-tool" // as Debian installs it
	if _, err := os.Stat(script); err != nil {
		skip(t, "needs %s: apt-get install memcached", script)
	}
	ctx, c := startCluster(t, cluster.Options{Servers: 1})
	addr := c.Servers[0].ClientAddr
	for i := range 100 {
		converse(t, addr, fmt.Sprintf("set key%d 0 0 10\r\n0123456789\r\nquit\r\n", i))
	}
	output, err := exec.CommandContext(ctx, needProgram(t, "perl", "perl"), script, addr, "display").CombinedOutput()
	lines := strings.Split(strings.TrimSpace(string(output)), "\n")
	// #  Item_Size  Max_age  Pages  Count  Full?  Evicted  Evict_Time  OOM
	if err != nil || len(lines) != 2 || !slices.Equal(slices.Delete(strings.Fields(lines[1]), 1, 3), []string{"1", "1", "100", "no", "0", "0", "0"}) {
		t.Errorf("memcached-tool: %v\n%s", err, output)
	}
}
