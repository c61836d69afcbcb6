package stats

import (
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/item"
	"raftcached/protocol"
)

// fixed is a server whose numbers a test sets.
type fixed struct {
	conns Connections
	state State
	now   time.Time
	loops [2]Counters
}

// collector returns a collector of f.
func (f *fixed) collector(s Settings) *Collector {
	f.now = time.Unix(1_700_000_000, 0)
	return NewCollector(s, Source{
		Loops: []*Counters{&f.loops[0], &f.loops[1]},
		Conns: func() Connections { return f.conns },
		State: func() State { return f.state },
		Now:   func() time.Time { return f.now },
	})
}

// report returns what "stats arg" reports, as names in their order and as values.
func report(t *testing.T, c *Collector, arg string) (names []string, values map[string]string) {
	t.Helper()
	list, ok := c.Report(arg)
	if !ok {
		t.Fatalf("stats %s is not known", arg)
	}
	values = make(map[string]string)
	for _, s := range list {
		names = append(names, s.Name)
		values[s.Name] = s.Value
	}
	return names, values
}

// TestNamesAndOrder: tools read them by name, and people in memcached's order.
func TestNamesAndOrder(t *testing.T) {
	f := fixed{state: State{Items: 1}}
	c := f.collector(Settings{Port: 11211})
	for _, test := range []struct{ arg, want string }{
		{"", `pid uptime time version raftcached_version libevent pointer_size rusage_user rusage_system
			max_connections curr_connections total_connections rejected_connections connection_structures
			cmd_get cmd_set cmd_flush cmd_touch cmd_meta get_hits get_misses get_expired get_flushed
			delete_misses delete_hits incr_misses incr_hits decr_misses decr_hits cas_misses cas_hits cas_badval
			touch_hits touch_misses store_too_large store_no_memory auth_cmds auth_errors bytes_read bytes_written reads_leased reads_waited reads_confirmed reads_behind_writes
			limit_maxbytes accepting_conns listen_disabled_num time_in_listen_disabled_us threads conn_yields
			hash_power_level hash_bytes hash_is_expanding bytes curr_items total_items
			expired_unfetched evicted_unfetched evictions reclaimed`},
		{"settings", `maxbytes maxconns tcpport udpport inter verbosity evictions domain_socket shutdown_command
			num_threads stat_key_prefix detail_enabled cas_enabled binding_protocol auth_enabled_sasl auth_enabled_ascii item_size_max
			maxconns_fast slab_reassign slab_automove lru_crawler flush_enabled dump_enabled hash_algorithm
			lru_maintainer_thread lru_segmented idle_timeout track_sizes client_flags_size`},
		{"items", `items:1:number items:1:age items:1:mem_requested items:1:evicted items:1:evicted_time
			items:1:outofmemory items:1:tailrepairs items:1:reclaimed items:1:expired_unfetched items:1:evicted_unfetched`},
		{"slabs", `1:chunk_size 1:chunks_per_page 1:total_pages 1:total_chunks 1:used_chunks 1:free_chunks
			1:free_chunks_end 1:get_hits 1:cmd_set 1:delete_hits 1:incr_hits 1:decr_hits 1:cas_hits 1:cas_badval
			1:touch_hits active_slabs total_malloced`},
		{"sizes", "sizes_status"},
	} {
		if got, _ := report(t, c, test.arg); !slices.Equal(got, strings.Fields(test.want)) {
			t.Errorf("stats %s has\n%v, want\n%v", test.arg, got, strings.Fields(test.want))
		}
	}
	f.state.Items = 0
	if got, _ := report(t, c, "items"); len(got) > 0 {
		t.Errorf("stats items of an empty cache has %v", got)
	}
	if got, _ := report(t, c, "slabs"); !slices.Equal(got, []string{"active_slabs", "total_malloced"}) {
		t.Errorf("stats slabs of an empty cache has %v", got)
	}
	if list, ok := c.Report("raft"); ok {
		t.Errorf("stats raft has %v", list)
	}
}

func TestSettingsAreReported(t *testing.T) {
	var f fixed
	c := f.collector(Settings{
		Interface: "127.0.0.1:1", Port: 1, MaxConnections: 2, ItemBytesMax: 3, Verbosity: 4, IdleTimeout: 5 * time.Second,
		Shutdown: true, Login: true, AuthFile: "/users",
	})
	f.state = State{LimitBytes: 6, Evicts: true}
	_, got := report(t, c, "settings")
	for name, want := range map[string]string{
		"inter": "127.0.0.1:1", "tcpport": "1", "maxconns": "2", "item_size_max": "3", "verbosity": "4", "idle_timeout": "5",
		"shutdown_command": "yes", "flush_enabled": "no", "auth_enabled_sasl": "yes", "auth_enabled_ascii": "/users",
		"maxbytes": "6", "evictions": "on", "num_threads": "2",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
}

// TestCountsAreSummedAndReset: over the loops, once they are published; what is
// now is not a count.
func TestCountsAreSummedAndReset(t *testing.T) {
	var f fixed
	c := f.collector(Settings{})
	want := func(when string, values map[string]string) {
		t.Helper()
		_, got := report(t, c, "")
		for name, value := range values {
			if got[name] != value {
				t.Errorf("%s: %s is %q, want %q", when, name, got[name], value)
			}
		}
	}
	f.loops[0].AddGets(WayLocal, 3, 2)
	f.loops[1].Add(BytesRead, 40)
	want("not published", map[string]string{"cmd_get": "0", "bytes_read": "0"})
	f.loops[0].Publish()
	f.loops[1].AddGets(WayLocal, 1, 0)
	f.loops[1].Publish()
	f.conns = Connections{Open: 4, Accepted: 10, Refused: 5}
	f.state = State{Items: 7, TotalItems: 8, Evictions: 9}
	f.now = f.now.Add(90 * time.Second)
	want("published", map[string]string{
		"cmd_get": "4", "get_hits": "2", "get_misses": "2", "bytes_read": "40", "uptime": "90", "total_connections": "10",
		"rejected_connections": "5", "curr_connections": "4", "curr_items": "7", "total_items": "8", "evictions": "9",
	})
	c.Reset()
	f.loops[0].AddGets(WayLocal, 1, 1)
	f.loops[0].Publish()
	want("after a reset", map[string]string{
		"cmd_get": "1", "get_hits": "1", "get_misses": "0", "bytes_read": "0", "uptime": "90", "total_connections": "0",
		"rejected_connections": "0", "curr_connections": "4", "curr_items": "7", "total_items": "0", "evictions": "0",
	})
}

// TestOutcomesOfWrites are counted as memcached does.
func TestOutcomesOfWrites(t *testing.T) {
	for _, test := range []struct {
		command protocol.Command
		codec   protocol.Codec
		fields  item.Fields
		result  protocol.Result
		want    string
	}{
		{protocol.Set, protocol.Text, 0, protocol.Result{Status: protocol.StatusStored}, "cmd_set"},
		{protocol.Set, protocol.Text, 0, protocol.Result{Status: protocol.StatusTooLarge}, "store_too_large"},
		{protocol.Set, protocol.Text, 0, protocol.Result{Status: protocol.StatusOutOfMemory}, "store_no_memory"},
		{protocol.Set, protocol.Text, 0, protocol.Result{Status: protocol.StatusNoLeader}, ""},
		{protocol.Set, protocol.Text, 0, protocol.Result{Status: protocol.StatusOutcomeUnknown}, ""},
		{protocol.Set, protocol.Binary, item.HasCAS, protocol.Result{Status: protocol.StatusExists}, "cmd_set cas_badval"},
		{protocol.CAS, protocol.Text, 0, protocol.Result{Status: protocol.StatusStored}, "cmd_set cas_hits"},
		{protocol.CAS, protocol.Text, 0, protocol.Result{Status: protocol.StatusNotFound}, "cmd_set cas_misses"},
		{protocol.Append, protocol.Text, 0, protocol.Result{Status: protocol.StatusNotStored}, "cmd_set"},
		{protocol.Touch, protocol.Text, 0, protocol.Result{Status: protocol.StatusTouched}, "cmd_touch touch_hits"},
		{protocol.Gat, protocol.Text, 0, protocol.Result{Status: protocol.StatusMiss}, "cmd_touch touch_misses"},
		{protocol.MetaGet, protocol.Meta, 0, protocol.Result{Status: protocol.StatusHit}, "cmd_get get_hits"},
		{protocol.MetaGat, protocol.Meta, 0, protocol.Result{Status: protocol.StatusHit}, "cmd_touch touch_hits"},
		{protocol.MetaGat, protocol.Meta, 0, protocol.Result{Status: protocol.StatusMiss}, "cmd_get get_misses"},
		{protocol.MetaGat, protocol.Binary, 0, protocol.Result{Status: protocol.StatusMiss}, "cmd_touch touch_misses"},
		{protocol.Delete, protocol.Text, 0, protocol.Result{Status: protocol.StatusDeleted}, "delete_hits"},
		{protocol.Delete, protocol.Meta, item.Invalidate, protocol.Result{Status: protocol.StatusOK}, ""},
		{protocol.Delete, protocol.Meta, item.HasCAS, protocol.Result{Status: protocol.StatusExists}, "delete_misses"},
		{protocol.Delete, protocol.Binary, item.HasCAS, protocol.Result{Status: protocol.StatusExists}, ""},
		{protocol.Incr, protocol.Text, 0, protocol.Result{Status: protocol.StatusNumber}, "incr_hits"},
		{protocol.Incr, protocol.Binary, 0, protocol.Result{Status: protocol.StatusNumber, Marks: item.Won}, ""},
		{protocol.Decr, protocol.Text, 0, protocol.Result{Status: protocol.StatusNotFound}, "decr_misses"},
		{protocol.Decr, protocol.Text, 0, protocol.Result{Status: protocol.StatusNonNumeric}, ""},
		{protocol.FlushAll, protocol.Text, 0, protocol.Result{Status: protocol.StatusOK}, "cmd_flush"},
	} {
		var s Counters
		s.AddWrite(test.command, test.codec, test.fields, &test.result)
		s.Publish()
		var got []string
		for k := range counterCount {
			if s.published[k].Load() > 0 {
				got = append(got, k.name())
			}
		}
		if strings.Join(got, " ") != test.want {
			t.Errorf("%v, codec %d, status %d counts %q, want %q", test.command, test.codec, test.result.Status, got, test.want)
		}
	}
}

func TestCountingAllocatesNothing(t *testing.T) {
	var s Counters
	r := protocol.Result{Status: protocol.StatusStored}
	if n := testing.AllocsPerRun(100, func() {
		s.AddGets(WayLocal, 2, 1)
		s.AddWrite(protocol.Set, protocol.Text, 0, &r)
		s.Publish()
	}); n != 0 {
		t.Errorf("%v allocations, want 0", n)
	}
}
