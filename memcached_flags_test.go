package raftcached

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"raftcached/internal/settings"
)

// memcachedFlags are all flags of memcached 1.6.45, from the tables of its main
// function, each with a value if it takes one.
const memcachedFlags = `-a 700 -A -p 11211 -U 0 -m 64 -M -c 1024 -k -r -v -d -l 127.0.0.1 -u memcache -P pid
-f 1.25 -n 48 -t 4 -D : -L -R 20 -C -b 1024 -B auto -I 1m -S -F -X -W -Y users -e /mnt/m -N 2 -o modern`

var memcachedLongFlags = strings.Fields(`--unix-mask=700 --enable-shutdown --port=11211 --udp-port=0 --memory-limit=64
--disable-evictions --conn-limit=1024 --lock-memory --enable-coredumps --verbose --daemon --listen=127.0.0.1
--user=memcache --pidfile=pid --slab-growth-factor=1.25 --slab-min-size=48 --threads=4 --enable-largepages
--max-reqs-per-event=20 --disable-cas --listen-backlog=1024 --protocol=auto --max-item-size=1m --enable-sasl
--disable-flush-all --disable-dumping --disable-watch --auth-file=users --memory-file=/mnt/m --napi-ids=2
--extended=modern`)

// memcachedOptions are all options of -o in a build without TLS and proxy.
const memcachedOptions = `maxconns_fast,hashpower=20,no_hashexpand,slab_reassign,slab_automove=1,slab_automove_ratio=0.8,
slab_automove_window=30,tail_repair_time=60,hash_algorithm=murmur3,lru_crawler,lru_crawler_sleep=100,lru_crawler_tocrawl=0,
lru_maintainer,hot_lru_pct=20,warm_lru_pct=40,hot_max_factor=0.2,warm_max_factor=2,temporary_ttl=61,idle_timeout=5,
watcher_logbuf_size=256,worker_logbuf_size=64,slab_sizes=96-128,slab_chunk_max=512,track_sizes,no_inline_ascii_resp,modern,
no_modern,no_chunked_items,no_slab_reassign,no_slab_automove,no_maxconns_fast,inline_ascii_resp,no_lru_crawler,
no_lru_maintainer,no_drop_privileges,drop_privileges,resp_obj_mem_limit,read_buf_mem_limit=0,ext_page_size=8,ext_wbuf_size=4,
ext_threads=1,ext_io_depth=1,ext_path=/mnt/x:1G,ext_item_size=512,ext_item_age=60,ext_low_ttl=60,ext_recache_rate=1,
ext_compact_under=1,ext_drop_under=1,ext_max_sleep=1,ext_max_frag=0.8,ext_drop_unread,slab_automove_freeratio=0.01`

// TestMemcachedsFlags: a command line of memcached starts this server. What has no
// effect has a note.
func TestMemcachedsFlags(t *testing.T) {
	for _, args := range [][]string{
		strings.Fields(memcachedFlags),
		memcachedLongFlags,
		{"-o", strings.ReplaceAll(memcachedOptions, "\n", "")},
		strings.Fields("-d -m 64 -p 11211 -u memcache -l 127.0.0.1 -P /var/run/memcached/memcached.pid"), // Debian's
	} {
		if _, err := ParseArguments(args, nil); err != nil {
			t.Errorf("%q: %v", args, err)
		}
	}
}

// TestFromMemcachedNamesAllFlags: docs/from-memcached.md has each flag of memcached, and
// says of those without effect that they do nothing.
func TestFromMemcachedNamesAllFlags(t *testing.T) {
	text, err := os.ReadFile("docs/from-memcached.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, _ := strings.Cut(string(text), "## Flags")
	for _, flag := range strings.Fields(memcachedFlags + " -s -Z") {
		if len(flag) != 2 || flag[0] != '-' {
			continue // a value
		}
		i := slices.IndexFunc(settings.Table, func(s settings.Setting) bool { return slices.Contains(s.Flags, flag[1:]) })
		if i < 0 {
			t.Errorf("%s is no flag here", flag)
			continue
		}
		want := ""
		switch s := &settings.Table[i]; {
		case s.Ignored != "":
			want = "nothing"
		case s.Refused != "":
			want = "refused"
		}
		found := false
		for line := range strings.Lines(table) {
			cells := strings.Split(line, " | ")
			named := len(cells) > 1 && (strings.Contains(cells[0], "`"+flag+"`") || strings.Contains(cells[0], "`"+flag+" "))
			found = found || named && strings.HasPrefix(cells[1], want)
		}
		if !found {
			t.Errorf("docs/from-memcached.md lacks %s, or does not say that it does %q", flag, want)
		}
	}
}

func TestNotes(t *testing.T) {
	for _, c := range []struct {
		line        string
		environment []string
		want        []string
	}{
		{"-m 64", nil, nil},
		{"-o idle_timeout=5", nil, nil},
		{"-d -u memcache", nil, []string{
			"-u is ignored: the server keeps the user that starts it",
			"-d is ignored: the server stays in the foreground, for a service manager or a shell's &",
		}},
		{"-f 1.5 --slab-min-size 70", nil, []string{"-f, --slab-min-size are ignored: memory is not divided into slabs"}},
		{"-o modern,hashpower=20,track_sizes", nil, []string{"-o modern, -o hashpower, -o track_sizes are ignored: only memcached has this to tune"}},
		{"", []string{"RAFTCACHED_PORT=tcp://10.96.0.7:11211"}, []string{"RAFTCACHED_PORT is ignored: set by Kubernetes for a service of this name"}},
		{"-p 5", []string{
			"RAFTCACHED_SERVICE_HOST=10.96.0.7", "RAFTCACHED_SERVICE_PORT=11211", "RAFTCACHED_SERVICE_PORT_CLIENTS=11211",
			"RAFTCACHED_PORT_11211_TCP=tcp://10.96.0.7:11211", "RAFTCACHED_PORT_11211_TCP_PROTO=tcp",
			"RAFTCACHED_CLIENT_PORT=tcp://10.96.0.8:11211", "RAFTCACHED_CLIENT_SERVICE_HOST=10.96.0.8",
		}, []string{"RAFTCACHED_SERVICE_HOST, RAFTCACHED_SERVICE_PORT, RAFTCACHED_SERVICE_PORT_CLIENTS, RAFTCACHED_PORT_11211_TCP, " +
			"RAFTCACHED_PORT_11211_TCP_PROTO, RAFTCACHED_CLIENT_PORT, RAFTCACHED_CLIENT_SERVICE_HOST are ignored: set by Kubernetes for a service of this name"}},
		{"", []string{"RAFTCACHED_MEMORY_LIMT=", "RAFTCACHED_SPAWNER_FD=3", "HOME=/root"}, nil},
	} {
		args, err := parseLine(t, "", c.line, c.environment...)
		if err != nil || !slices.Equal(args.Notes, c.want) {
			t.Errorf("%q, %q: %v, notes are\n  %q, want\n  %q", c.line, c.environment, err, args.Notes, c.want)
		}
	}
}

// TestWhoseMistake: what is wrong on the command line is told from what is wrong in
// the environment or in a file.
func TestWhoseMistake(t *testing.T) {
	file := writeConfig(t, threeServers)
	for _, c := range []struct {
		line        string
		environment []string
		usage       bool
	}{
		{"--xx", nil, true},
		{"-m 20000", nil, true},
		{"-o modem", nil, true},
		{"-config FILE -id 7", nil, true},
		{"-config FILE", nil, true},
		{"-config /none/server.json", nil, false},
		{"", []string{"RAFTCACHED_MEMORY_LIMIT=20000"}, false},
		{"", []string{"RAFTCACHED_MEMORY_LIMT=5"}, false},
		{"", []string{"RAFTCACHED_CONFIG=FILE", "RAFTCACHED_ID=7"}, false},
	} {
		_, err := parseLine(t, file, c.line, c.environment...)
		if ce, ok := errors.AsType[*ConfigError](err); !ok || ce.Usage() != c.usage {
			t.Errorf("%q, %q: %v, want a mistake of the command line: %v", c.line, c.environment, err, c.usage)
		}
	}
}
