package raftcached

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"raftcached/internal/settings"
)

// TestCompleteFillsMemcachedsDefaults: Config{} is a lone node as memcached
// starts one.
func TestCompleteFillsMemcachedsDefaults(t *testing.T) {
	cfg, err := Config{}.Complete()
	if err != nil {
		t.Fatal(err)
	}
	if got := cfg.ClientAddrs; len(got) != 1 || got[0] != ":11211" {
		t.Errorf("client addresses are %q, want [:11211]", got)
	}
	if cfg.PeerAddr != "" || len(cfg.Servers) != 1 || cfg.DataDir != "data" {
		t.Errorf("lone node has peer address %q, %d servers, data folder %q; want none, 1, data",
			cfg.PeerAddr, len(cfg.Servers), cfg.DataDir)
	}
	if cfg.MemoryLimitBytes != 64<<20 || cfg.ItemBytesMax != 1<<20 || cfg.MaxConns != 1024 {
		t.Errorf("limits are %d, %d, %d; want 64 MiB, 1 MiB, 1024", cfg.MemoryLimitBytes, cfg.ItemBytesMax, cfg.MaxConns)
	}
	if cfg.Tick != 10*time.Millisecond || cfg.ElectionTicks != 20 || cfg.HeartbeatTicks != 5 {
		t.Errorf("raft's clock is %v, %d, %d; want 10ms, 20, 5", cfg.Tick, cfg.ElectionTicks, cfg.HeartbeatTicks)
	}
	if cfg.Reads != ReadsLinearizable || cfg.RequestTimeout != 2*time.Second {
		t.Errorf("reads are %q within %v, want linearizable within 2s", cfg.Reads, cfg.RequestTimeout)
	}
}

// TestCompleteFitsItemLimitToSmallMemory: who lowers -m alone need not know of
// the rule that an item has at most half of the memory.
func TestCompleteFitsItemLimitToSmallMemory(t *testing.T) {
	cfg, err := Config{MemoryLimitBytes: 1 << 20}.Complete()
	if err != nil || cfg.ItemBytesMax != 512<<10 {
		t.Errorf("item limit is %d, %v; want 512 KiB", cfg.ItemBytesMax, err)
	}
}

func TestCompleteRefusesWithASentence(t *testing.T) {
	for _, c := range []struct {
		name string
		cfg  Config
		want string
	}{
		{"id", Config{ServerID: 7, Servers: []Server{{ID: 1, Host: "h", ClientPort: 1}}}, "server id 7 is not listed: choose one of 1"},
		{"address", Config{ClientAddrs: []string{"11211"}}, `ClientAddrs is "11211": write host:port, like 127.0.0.1:11211`},
		{"port", Config{ClientAddrs: []string{"h:70000"}}, `ClientAddrs is "h:70000": write host:port, like 127.0.0.1:11211`},
		{"memory", Config{MemoryLimitBytes: 5}, "MemoryLimitBytes is 5: choose one from 1048576 to 17178820608"},
		{"half", Config{MemoryLimitBytes: 4 << 20, ItemBytesMax: 3 << 20}, "ItemBytesMax is 3145728: lower it to 2097152, half of MemoryLimitBytes, which is 4194304"},
		{"reads", Config{Reads: "dirty"}, `Reads is "dirty": write "linearizable" or "local"`},
		{"heartbeat", Config{ElectionTicks: 12, HeartbeatTicks: 6}, "HeartbeatTicks is 6: lower it to 4, a third of ElectionTicks, which is 12"},
		{"timeout", Config{RequestTimeout: time.Millisecond}, "RequestTimeout is 1ms: choose one from 10ms to 10m0s"},
		{"idle", Config{IdleTimeout: -time.Second}, "IdleTimeout is -1s: choose one from 0s to 8760h0m0s"},
		{"peer", Config{Servers: []Server{{ID: 0, Host: "h", ClientPort: 1, LogPort: 2}, {ID: 1, Host: "h", ClientPort: 3, LogPort: 4}}}, "server 0 of a cluster has no peer address: set its host and logPort"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := c.cfg.Complete()
			wantConfigError(t, err, c.want)
		})
	}
}

func wantConfigError(t *testing.T, err error, want string) {
	t.Helper()
	var ce *ConfigError
	if !errors.As(err, &ce) {
		t.Fatalf("error is %v, want a *ConfigError", err)
	}
	if err.Error() != want {
		t.Errorf("error is\n  %s\nwant\n  %s", err, want)
	}
}

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestShippedServerJSON: the file at the root of the repository is the cluster
// that README describes.
func TestShippedServerJSON(t *testing.T) {
	c, err := ReadCluster("server.json")
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Servers) != 3 {
		t.Fatalf("%d servers, want 3", len(c.Servers))
	}
	cfg, err := c.Config(2)
	if err != nil {
		t.Fatal(err)
	}
	if cfg, err = cfg.Complete(); err != nil {
		t.Fatal(err)
	}
	if cfg.DataDir != filepath.Join("data", "2") || cfg.ClientAddrs[0] != "127.0.0.1:11213" || cfg.PeerAddr != "127.0.0.1:11313" {
		t.Errorf("server 2 has %q, %q, %q", cfg.DataDir, cfg.ClientAddrs, cfg.PeerAddr)
	}
}

// TestReadClusterTakesEveryField also shows that case does not matter, that ids
// need no order, and where relative folders start.
func TestReadClusterTakesEveryField(t *testing.T) {
	file := writeConfig(t, `{
		"Path": "state", "memorylimitmib": 128, "ITEMSIZEMAX": 2097152, "disableEvictions": true,
		"disableFlushAll": true, "disableDumping": true, "reads": "local", "requestTimeoutMs": 500, "tickMs": 20,
		"electionTicks": 50, "heartbeatTicks": 5, "maxConnections": 77, "threads": 3,
		"idleTimeoutSeconds": 9, "unlistAfterSeconds": 7, "logRetainMiB": 4, "authFile": "users",
		"SERVERS": [
			{"ID": 4, "HOST": "::1", "ClientPort": 2, "LOGPORT": 3, "path": "/elsewhere"},
			{"id": 0, "host": "::1", "clientport": 4, "logport": 5}
		]}`)
	c, err := ReadCluster(file)
	if err != nil {
		t.Fatal(err)
	}
	if c.Servers[0].ID != 0 || c.Servers[1].PeerAddr() != "[::1]:3" {
		t.Errorf("servers are %+v", c.Servers)
	}
	cfg, err := c.Config(0)
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(filepath.Dir(file), "state", "0"); cfg.DataDir != want {
		t.Errorf("data folder of 0 is %q, want %q", cfg.DataDir, want)
	}
	if want := filepath.Join(filepath.Dir(file), "users"); cfg.AuthFile != want {
		t.Errorf("file of users is %q, want %q", cfg.AuthFile, want)
	}
	if cfg.MemoryLimitBytes != 128<<20 || cfg.ItemBytesMax != 2<<20 || !cfg.NoEvict || !cfg.FlushDisabled || !cfg.DumpingDisabled ||
		cfg.Reads != ReadsLocal || cfg.RequestTimeout != 500*time.Millisecond || cfg.Tick != 20*time.Millisecond ||
		cfg.ElectionTicks != 50 || cfg.HeartbeatTicks != 5 || cfg.MaxConns != 77 || cfg.Threads != 3 ||
		cfg.IdleTimeout != 9*time.Second || cfg.UnlistAfter != 7*time.Second || cfg.LogRetainBytes != 4<<20 {
		t.Errorf("settings are %+v", cfg)
	}
	if cfg, err = c.Config(4); err != nil || cfg.DataDir != "/elsewhere" {
		t.Errorf("data folder of 4 is %q, %v; want /elsewhere", cfg.DataDir, err)
	}
}

func TestReadClusterRefusesWithASentence(t *testing.T) {
	const one = `{"id": 0, "host": "h", "clientPort": 1, "logPort": 2}`
	for _, c := range []struct{ name, text, want string }{
		{"empty", ``, `line 1 is not JSON (unexpected end of JSON input): check its commas, quotes and brackets`},
		{"list", `[]`, `the file is not a JSON object: put it in { and }`},
		{"list inside", `{"servers": [[]]}`, `entry 1 of servers is not a JSON object: put it in { and }`},
		{"comma", "{\n\"servers\": [" + one + `,]}`, `line 2 is not JSON (invalid character ']' looking for beginning of value): check its commas, quotes and brackets`},
		{"trailing", `{"servers": [` + one + `]} {}`, `line 1 is not JSON (invalid character '{' after top-level value): check its commas, quotes and brackets`},
		{"no servers", `{}`, `0 servers are listed: list 1 to 9`},
		{"servers", `{"servers": {}}`, `field "servers" in the file is {}: write a list, like [{"id": 0, "host": "127.0.0.1", "clientPort": 11211, "logPort": 11311}]`},
		{"unknown", `{"server": []}`, `unknown field "server" in the file: use path, servers, memoryLimitMiB, itemSizeMax, disableEvictions, disableFlushAll, disableDumping, authFile, tls, tlsCert, tlsKey, tlsCA, tlsVerify, tlsMinVersion, secret, secretFile, secretOptional, peerCertFile, peerKeyFile, peerCAFile, peerTLS, join, replaceEmpty, reads, leases, requestTimeoutMs, tickMs, electionTicks, heartbeatTicks, maxConnections, threads, idleTimeoutSeconds, unlistAfterSeconds, logRetainMiB, diskReserveMiB, clusterVersionMax, keyDelimiter, slowMs, disableHotKeys, enableShutdown`},
		{"unknown inside", `{"servers": [{"id": 0, "port": 1}]}`, `unknown field "port" in entry 1 of servers: use id, host, clientPort, logPort, adminPort, adminHost, path`},
		{"twice", `{"path": "a", "PATH": "b"}`, `field "path" is given twice in the file: keep one`},
		{"no id", `{"servers": [{"host": "h", "clientPort": 1, "logPort": 2}]}`, `entry 1 of servers has no "id": add it`},
		{"no host", `{"servers": [{"id": 0, "clientPort": 1, "logPort": 2}]}`, `entry 1 of servers has no "host": add it`},
		{"no client port", `{"servers": [{"id": 0, "host": "h", "logPort": 2}]}`, `entry 1 of servers has no "clientPort": add it`},
		{"no log port", `{"servers": [{"id": 0, "host": "h", "clientPort": 2}]}`, `entry 1 of servers has no "logPort": add it`},
		{"same id", `{"servers": [` + one + `, {"id": 0, "host": "h", "clientPort": 3, "logPort": 4}]}`, `server id 0 is listed twice: give each server an id of its own`},
		{"same port", `{"servers": [` + one + `, {"id": 1, "host": "H", "clientPort": 3, "logPort": 1}]}`, `servers 0 and 1 both use h:1: give one of them another port`},
		{"one port", `{"servers": [{"id": 5, "host": "h", "clientPort": 3, "logPort": 3}]}`, `clientPort and logPort of server 5 are both 3: give them two ports`},
		{"admin port taken", `{"servers": [{"id": 5, "host": "h", "clientPort": 3, "logPort": 4, "adminPort": 4}]}`, `logPort and adminPort of server 5 are both 4: give them two ports`},
		{"admin port of two", `{"servers": [` + one + `, {"id": 1, "host": "h", "clientPort": 3, "logPort": 4, "adminPort": 1}]}`, `servers 0 and 1 both use h:1: give one of them another port`},
		{"admin host alone", `{"servers": [{"id": 5, "host": "h", "clientPort": 3, "logPort": 4, "adminHost": "h"}]}`, `adminHost "h" of server 5 is of no use: give it an adminPort, and write the host like 127.0.0.1`},
		{"port text", `{"servers": [{"id": 5, "host": "h", "clientPort": "3", "logPort": 3}]}`, `field "clientPort" in entry 1 of servers is "3": write a whole number from 1 to 65535`},
		{"port range", `{"servers": [{"id": 5, "host": "h", "clientPort": 70000, "logPort": 3}]}`, `field "clientPort" in entry 1 of servers is 70000: write a whole number from 1 to 65535`},
		{"id range", `{"servers": [{"id": -1, "host": "h", "clientPort": 1, "logPort": 3}]}`, `field "id" in entry 1 of servers is -1: write a whole number from 0 to 2147483646`},
		{"host", `{"servers": [{"id": 0, "host": "http://h", "clientPort": 1, "logPort": 3}]}`, `host "http://h" of server 0 is not a name or an address: write it like 127.0.0.1`},
		{"fraction", `{"threads": 1.5, "servers": [` + one + `]}`, `field "threads" in the file is 1.5: write a whole number from 1 to 256`},
		{"unit", `{"memoryLimitMiB": 20000}`, `field "memoryLimitMiB" in the file is 20000: write a whole number of MiB from 1 to 16383`},
		{"reads", `{"reads": "stale"}`, `field "reads" in the file is "stale": write "linearizable" or "local"`},
		{"bool", `{"disableFlushAll": 1}`, `field "disableFlushAll" in the file is 1: write true or false`},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeConfig(t, c.text)
			_, err := ReadCluster(file)
			wantConfigError(t, err, `config "`+file+`": `+c.want)
		})
	}
}

// TestAdminPortIsLocal: it is open for this machine, unless the file says otherwise,
// and closed if the file says nothing.
func TestAdminPortIsLocal(t *testing.T) {
	for _, c := range []struct{ fields, want string }{
		{`"host": "10.0.0.1"`, ""},
		{`"host": "10.0.0.1", "adminPort": 3`, "127.0.0.1:3"},
		{`"host": "cache", "adminPort": 3`, "127.0.0.1:3"},
		{`"host": "127.0.0.7", "adminPort": 3`, "127.0.0.7:3"},
		{`"host": "::1", "adminPort": 3`, "[::1]:3"},
		{`"host": "h", "adminPort": 3, "adminHost": "[fd00::1]"`, "[fd00::1]:3"},
		{`"host": "10.0.0.1", "adminPort": 3, "adminHost": "10.0.0.1"`, "10.0.0.1:3"},
	} {
		cluster, err := ReadCluster(writeConfig(t, `{"servers": [{"id": 0, "clientPort": 1, "logPort": 2, `+c.fields+`}]}`))
		if err != nil {
			t.Fatal(err)
		}
		if cfg, err := cluster.Config(0); err != nil || cfg.AdminAddr != c.want {
			t.Errorf("with %s the admin port is %q, %v; want %q", c.fields, cfg.AdminAddr, err, c.want)
		}
	}
}

func TestReadClusterMissingFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "none.json")
	_, err := ReadCluster(file)
	wantConfigError(t, err, `config "`+file+`" does not exist: name a server.json with -config`)
	if _, err = ReadCluster(t.TempDir()); err == nil || !strings.Contains(err.Error(), "cannot be read") {
		t.Errorf("a folder as config gives %v, want an error that it cannot be read", err)
	}
}

func TestClusterConfigOfUnlistedID(t *testing.T) {
	c, err := ReadCluster("server.json")
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Config(3)
	wantConfigError(t, err, `config "server.json": server id 3 is not listed: choose one of 0, 1, 2`)
}

// TestLateErrorsNameTheFile: bounds that depend on each other are checked when the
// configuration is completed, yet named as they were written.
func TestLateErrorsNameTheFile(t *testing.T) {
	const rest = `"servers": [{"id": 0, "host": "h", "clientPort": 1, "logPort": 2}]}`
	for _, c := range []struct {
		name, text string
		change     func(*Config)
		want       string
	}{
		{"both", `{"electionTicks": 12, "heartbeatTicks": 6, `, nil, `config "FILE": "heartbeatTicks" is 6: lower it to 4, a third of "electionTicks", which is 12`},
		{"default", `{"heartbeatTicks": 9, `, nil, `config "FILE": "heartbeatTicks" is 9: lower it to 6, a third of "electionTicks", which is 20`},
		{"units", `{"memoryLimitMiB": 4, "itemSizeMax": 3145728, `, nil, `config "FILE": "itemSizeMax" is 3145728: lower it to 2097152, half of "memoryLimitMiB", which is 4`},
		{
			"changed by the program", `{"itemSizeMax": 3145728, `, func(c *Config) { c.ItemBytesMax = 1 },
			"ItemBytesMax is 1: choose one from 1024 to 8388608",
		},
		{
			"limit changed by the program", `{"itemSizeMax": 3145728, `, func(c *Config) { c.MemoryLimitBytes = 4 << 20 },
			`config "FILE": "itemSizeMax" is 3145728: lower it to 2097152, half of "memoryLimitMiB", which is 4`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			file := writeConfig(t, c.text+rest)
			cluster, err := ReadCluster(file)
			if err != nil {
				t.Fatal(err)
			}
			cfg, err := cluster.Config(0)
			if err != nil {
				t.Fatal(err)
			}
			if c.change != nil {
				c.change(&cfg)
			}
			_, err = cfg.Complete()
			wantConfigError(t, err, strings.ReplaceAll(c.want, "FILE", file))
		})
	}
}

// TestTableCoversConfig: a field that nothing but a program can set is meant to be
// one.
func TestTableCoversConfig(t *testing.T) {
	composed := []string{"ServerID", "Servers", "ClientAddrs", "PlainAddrs", "Logger", "ClientListeners", "PeerListener", "MemoryDisk", "SetVerbosity"}
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Config]()) {
		inTable := slices.ContainsFunc(settings.Table, func(s settings.Setting) bool { return s.Field == f.Name })
		if f.IsExported() && !inTable && !slices.Contains(composed, f.Name) {
			t.Errorf("Config.%s has no row in the table of settings", f.Name)
		}
	}
}

// TestBracketsAroundAHost: an IPv6 address may be written as in a URL.
func TestBracketsAroundAHost(t *testing.T) {
	file := writeConfig(t, `{"servers": [{"id": 0, "host": "[::1]", "clientPort": 11211, "logPort": 11311}]}`)
	cluster, err := ReadCluster(file)
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := cluster.Config(0)
	if err == nil {
		cfg, err = cfg.Complete()
	}
	if err != nil || cfg.Servers[0].Host != "::1" || !slices.Equal(cfg.ClientAddrs, []string{"[::1]:11211"}) {
		t.Errorf("config is %+v, %v", cfg, err)
	}
}
