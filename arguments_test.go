package raftcached

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const threeServers = `{"path": "state", "memoryLimitMiB": 100, "maxConnections": 50, "itemSizeMax": 3145728, "servers": [
	{"id": 0, "host": "127.0.0.1", "clientPort": 11211, "logPort": 11311},
	{"id": 1, "host": "127.0.0.1", "clientPort": 11212, "logPort": 11312},
	{"id": 2, "host": "::1", "clientPort": 11213, "logPort": 11313}]}`

// parseLine parses a command line and an environment of NAME=text words, in which
// FILE stands for the file.
func parseLine(t *testing.T, file, line string, environment ...string) (Arguments, error) {
	t.Helper()
	args := strings.Fields(strings.ReplaceAll(line, "FILE", file))
	var words []string
	for _, word := range environment {
		words = append(words, strings.ReplaceAll(word, "FILE", file))
	}
	return ParseArguments(args, words)
}

// TestFlags shows what each flag sets, memcached's spellings included.
func TestFlags(t *testing.T) {
	file := writeConfig(t, threeServers)
	type check = func(c Config) bool
	addrs := func(want ...string) check {
		return func(c Config) bool { return slices.Equal(c.ClientAddrs, want) }
	}
	for _, c := range []struct {
		line string
		ok   check
	}{
		{"", addrs(":11211")},
		{"-p 11999", addrs(":11999")},
		{"-p11999", addrs(":11999")},
		{"-p 0", addrs(":0")},
		{"--port=11999", addrs(":11999")},
		{"-l 127.0.0.1", addrs("127.0.0.1:11211")},
		{"-l 127.0.0.1,10.0.0.1:5 -p 7", addrs("127.0.0.1:7", "10.0.0.1:5")},
		{"--listen ::1,[::1]:5,[fe80::1]", addrs("[::1]:11211", "[::1]:5", "[fe80::1]:11211")},
		{"-l *", addrs(":11211")},
		{"-m 128", func(c Config) bool { return c.MemoryLimitBytes == 128<<20 }},
		{"-l 127.0.0.1 -l ::1", addrs("127.0.0.1:11211", "[::1]:11211")},
		{"-l 0.0.0.0,::", addrs("0.0.0.0:11211", "[::]:11211")},
		{"-kvp5 -umemcache", func(c Config) bool { return c.Verbose == 1 && c.ClientAddrs[0] == ":5" }},
		{"-dvv", func(c Config) bool { return c.Verbose == 2 }},
		{"--verbose --verbose", func(c Config) bool { return c.Verbose == 2 }},
		{"-o modern -o idle_timeout=90", func(c Config) bool { return c.IdleTimeout == 90*time.Second }},
		{"-A", func(c Config) bool { return c.ShutdownEnabled }},
		{"-S -Y users", func(c Config) bool { return c.AuthFile == "users" }},
		{"-m128", func(c Config) bool { return c.MemoryLimitBytes == 128<<20 }},
		{"--memory-limit=128", func(c Config) bool { return c.MemoryLimitBytes == 128<<20 }},
		{"-m 1", func(c Config) bool { return c.ItemBytesMax == 512<<10 }},
		{"-I 512k", func(c Config) bool { return c.ItemBytesMax == 512<<10 }},
		{"--max-item-size 2M", func(c Config) bool { return c.ItemBytesMax == 2<<20 }},
		{"-I 4096", func(c Config) bool { return c.ItemBytesMax == 4096 }},
		{"-c 10", func(c Config) bool { return c.MaxConns == 10 }},
		{"-t 3", func(c Config) bool { return c.Threads == 3 }},
		{"-M", func(c Config) bool { return c.NoEvict }},
		{"--disable-flush-all", func(c Config) bool { return c.FlushDisabled }},
		{"-X", func(c Config) bool { return c.DumpingDisabled }},
		{"-o idle_timeout=90", func(c Config) bool { return c.IdleTimeout == 90*time.Second }},
		{"-v", func(c Config) bool { return c.Verbose == 1 }},
		{"-v -v", func(c Config) bool { return c.Verbose == 2 }},
		{"-vv", func(c Config) bool { return c.Verbose == 2 }},
		{"-vvv", func(c Config) bool { return c.Verbose == 3 }},
		{"-U 0 -B ascii", addrs(":11211")},
		{"-B binary", addrs(":11211")},
		{"-Y users", func(c Config) bool { return c.AuthFile == "users" }},
		{"--auth-file=users", func(c Config) bool { return c.AuthFile == "users" }},
		{"-reads local", func(c Config) bool { return c.Reads == ReadsLocal }},
		{"-request-timeout 500ms", func(c Config) bool { return c.RequestTimeout == 500*time.Millisecond }},
		{"-data /x", func(c Config) bool { return c.DataDir == "/x" }},
		{"-config FILE -id 1", addrs("127.0.0.1:11212")},
		{"--config=FILE --id=2", func(c Config) bool { return c.ServerID == 2 && c.PeerAddr == "[::1]:11313" }},
		{"-config FILE -id 2 -peer-listen 0.0.0.0:5", func(c Config) bool { return c.PeerAddr == "0.0.0.0:5" }},
		{"-health-listen 127.0.0.1:6", func(c Config) bool { return c.HealthAddr == "127.0.0.1:6" }},
		{"-admin-listen 127.0.0.1:5", func(c Config) bool { return c.AdminAddr == "127.0.0.1:5" }},
		{"-config FILE -id 2 -p 5", addrs("[::1]:5")},
		{"-config FILE -id 2 -l 0.0.0.0", addrs("0.0.0.0:11213")},
	} {
		t.Run(c.line, func(t *testing.T) {
			args, err := parseLine(t, file, c.line)
			if err != nil {
				t.Fatal(err)
			}
			if !c.ok(args.Config) {
				t.Errorf("config is %+v", args.Config)
			}
		})
	}
}

// TestPrecedence: flags > environment > config file > defaults.
func TestPrecedence(t *testing.T) {
	file := writeConfig(t, threeServers)
	for _, c := range []struct {
		name, line  string
		environment []string
		memoryMiB   int64
		conns       int
	}{
		{"defaults", "", nil, 64, 1024},
		{"file", "-config FILE -id 0", nil, 100, 50},
		{"environment", "-config FILE -id 0", []string{"RAFTCACHED_MEMORY_LIMIT=101"}, 101, 50},
		{"flag", "-config FILE -id 0 -m 102 -c 8", []string{"RAFTCACHED_MEMORY_LIMIT=101"}, 102, 8},
		{"file from the environment", "", []string{"RAFTCACHED_CONFIG=FILE", "RAFTCACHED_ID=1"}, 100, 50},
	} {
		t.Run(c.name, func(t *testing.T) {
			args, err := parseLine(t, file, c.line, c.environment...)
			if err != nil {
				t.Fatal(err)
			}
			if args.Config.MemoryLimitBytes != c.memoryMiB<<20 || args.Config.MaxConns != c.conns {
				t.Errorf("memory limit is %d MiB and connection limit %d, want %d and %d",
					args.Config.MemoryLimitBytes>>20, args.Config.MaxConns, c.memoryMiB, c.conns)
			}
		})
	}
}

// TestWrongFlags: each mistake is answered by one sentence that names the setting as it
// was written, in its unit, and says what to write instead.
func TestWrongFlags(t *testing.T) {
	file := writeConfig(t, threeServers)
	for _, c := range []struct {
		line        string
		environment []string
		want        string
	}{
		{"-z", nil, "unknown flag -z: run it with -h to see the flags"},
		{"-kz", nil, "unknown flag -kz: run it with -h to see the flags"},
		{"--xx", nil, "unknown flag -xx: run it with -h to see the flags"},
		{"-p", nil, "flag -p needs a value: run it with -h to see which"},
		{"-p x", nil, `-p is "x": write a whole number from 0 to 65535`},
		{"--port 70000", nil, `--port is "70000": write a whole number from 0 to 65535`},
		{"-port=70000", nil, `-port is "70000": write a whole number from 0 to 65535`},
		{"-m 0", nil, `-m is "0": write a whole number of MiB from 1 to 16383`},
		{"-m 20000", nil, `-m is "20000": write a whole number of MiB from 1 to 16383`},
		{"-m20000", nil, `-m is "20000": write a whole number of MiB from 1 to 16383`},
		{"--memory-limit=20000", nil, `--memory-limit is "20000": write a whole number of MiB from 1 to 16383`},
		{"", []string{"RAFTCACHED_MEMORY_LIMIT=20000"}, `RAFTCACHED_MEMORY_LIMIT is "20000": write a whole number of MiB from 1 to 16383`},
		{"-I 9m", nil, `-I is "9m": write a size from 1k to 8m`},
		{"-I 1", nil, `-I is "1": write a size from 1k to 8m`},
		{"-m 4 -I 3m", nil, "-I is 3m: lower it to 2m, half of -m, which is 4"},
		{"-m 4", []string{"RAFTCACHED_MAX_ITEM_SIZE=3m"}, "RAFTCACHED_MAX_ITEM_SIZE is 3m: lower it to 2m, half of -m, which is 4"},
		{"-m 4 -config FILE -id 1", nil, `config "FILE": "itemSizeMax" is 3145728: lower it to 2097152, half of -m, which is 4`},
		{"-c 0", nil, `-c is "0": write a whole number from 1 to 1048576`},
		{"-l a,,b", nil, `-l is "a,,b": write addresses like 127.0.0.1 or 127.0.0.1:11211, separated by commas`},
		{"-l h:http", nil, `-l is "h:http": write host:port, like 127.0.0.1:11211`},
		{"-peer-listen h:5", nil, "-peer-listen is for the servers of a cluster: leave it out, or add -config"},
		{"-peer-listen h -config FILE -id 1", nil, `-peer-listen is "h": write host:port, like 127.0.0.1:11211`},
		{"-o modem", nil, `-o is "modem": "modem" is no option of memcached: write idle_timeout=SECONDS`},
		{"-o hashpower", nil, `-o hashpower needs a value: write hashpower=VALUE`},
		{"-o ssl_key=k", nil, `-o ssl_key is given, and clients are served without TLS: add -Z, or "tls": true`},
		{"--tls-ca k", nil, `--tls-ca is given, and clients are served without TLS: add -Z, or "tls": true`},
		{"-o ssl_verify_mode=2", nil, `-o ssl_verify_mode is given, and clients are served without TLS: add -Z, or "tls": true`},
		{"-Z -o ssl_ciphers=HIGH", nil, `-o ssl_ciphers is refused: the cipher suites are those that Go takes for safe: leave it out, and set ssl_min_version=3 to leave out those of TLS 1.2`},
		{"-Z", nil, `-Z needs the server's certificate: name its file with --tls-cert`},
		{"-Z --tls-cert c --tls-verify 2", nil, `--tls-verify is 2, and nothing says whose certificates to believe: name the file of the authorities with --tls-ca`},
		{"-Z --tls-cert c -o ssl_verify_mode=4", nil, `-o ssl_verify_mode is "4": write a whole number from 0 to 3`},
		{"-Z --tls-cert c -o ssl_min_version=1", nil, `-o ssl_min_version is "1": write a whole number from 2 to 3`},
		{"-l notls:127.0.0.1", nil, `-l has "notls:127.0.0.1:11211", and there is no TLS: leave notls out, or add -Z`},
		{"-Z --tls-cert c -l notls:127.0.0.1", nil, `-l has no address for TLS: leave -Z out, or notls at one of them`},
		{"-Z --tls-cert c -l mtls:127.0.0.1", nil, `-l has "mtls:127.0.0.1": leave mtls: out, ssl_verify_mode holds for all addresses with TLS`},
		{"-s /run/m", nil, `-s is refused: clients are served over TCP alone: use -l 127.0.0.1 for those of this machine`},
		{"-S", nil, "-S insists on authentication: name a file of users with -Y"},
		{"-P", nil, "flag -P needs a value: run it with -h to see which"},
		{"-u=", nil, `-u is "": it must not be empty`},
		{"", []string{"RAFTCACHED_MEMORY_LIMT=5"}, "unknown variable RAFTCACHED_MEMORY_LIMT: is RAFTCACHED_MEMORY_LIMIT meant? Otherwise unset it"},
		{"", []string{"RAFTCACHED_PORT=nats://h:1"}, `RAFTCACHED_PORT is "nats://h:1": write a whole number from 0 to 65535`},
		{"-admin-listen 5", nil, `-admin-listen is "5": write host:port, like 127.0.0.1:11211`},
		{"-o idle_timeout=x", nil, `-o idle_timeout is "x": write a whole number of seconds from 0 to 31536000`},
		{"-U 11211", nil, `-U is "11211": write 0`},
		{"-B proxy", nil, `-B is "proxy": write auto or ascii or binary`},
		{"-reads dirty", nil, `-reads is "dirty": write linearizable or local`},
		{"-request-timeout 5", nil, `-request-timeout is "5": write a time with its unit, from 10ms to 10m`},
		{"-request-timeout 5ms", nil, `-request-timeout is "5ms": write a time with its unit, from 10ms to 10m`},
		{"-data=", nil, `-data is "": it must not be empty`},
		{"server.json", nil, `unexpected argument "server.json": every setting is a flag`},
		{"-id 1", nil, `-id names a server of a cluster, and data folder "data" is of none: add -config server.json, or its -data, or the -join that ` + "`raftcachectl member add`" + ` shows`},
		{"-id 7 -config FILE", nil, `-id is 7: choose one of 0, 1, 2, which config "FILE" lists; a server that it does not list is started by its -data, without -config`},
		{"-config /none/server.json -id 1", nil, `config "/none/server.json" does not exist: name a server.json with -config`},
		{"", []string{"RAFTCACHED_THREADS=many"}, `RAFTCACHED_THREADS is "many": write a whole number from 1 to 256`},
	} {
		t.Run(c.line, func(t *testing.T) {
			_, err := parseLine(t, file, c.line, c.environment...)
			wantConfigError(t, err, strings.ReplaceAll(c.want, "FILE", file))
		})
	}
}

func TestConfigNeedsID(t *testing.T) {
	_, err := parseLine(t, writeConfig(t, threeServers), "-config FILE")
	if err == nil || !strings.HasSuffix(err.Error(), "lists 3 servers: choose one with -id") {
		t.Errorf("error is %v", err)
	}
	file := writeConfig(t, `{"servers": [{"id": 6, "host": "h", "clientPort": 1, "logPort": 2}]}`)
	args, err := ParseArguments([]string{"-config", file}, nil)
	if err != nil || args.Config.ServerID != 6 {
		t.Errorf("the only server of a config: id %d, %v; want 6", args.Config.ServerID, err)
	}
}
