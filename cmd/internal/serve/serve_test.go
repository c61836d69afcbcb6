package serve

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"raftcached"
)

// gnet starts goroutines when it is imported.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) }

const threeServers = `{"path": "state", "memoryLimitMiB": 100, "maxConnections": 50, "servers": [
	{"id": 0, "host": "127.0.0.1", "clientPort": 11211, "logPort": 11311},
	{"id": 1, "host": "127.0.0.1", "clientPort": 11212, "logPort": 11312},
	{"id": 2, "host": "::1", "clientPort": 11213, "logPort": 11313}]}`

func writeConfig(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "server.json")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// parseLine parses a command line and an environment of NAME=text words. FILE
// stands for a config of three servers.
func parseLine(t *testing.T, line string, environment ...string) (request, error) {
	t.Helper()
	file := writeConfig(t, threeServers)
	args := strings.Fields(strings.ReplaceAll(line, "FILE", file))
	return parse(args, func(name string) string {
		for _, variable := range environment {
			if text, ok := strings.CutPrefix(variable, name+"="); ok {
				return strings.ReplaceAll(text, "FILE", file)
			}
		}
		return ""
	})
}

// TestFlags shows what each flag sets, memcached's spellings included.
func TestFlags(t *testing.T) {
	type check = func(c raftcached.Config) bool
	addrs := func(want ...string) check {
		return func(c raftcached.Config) bool { return slices.Equal(c.ClientAddrs, want) }
	}
	for _, c := range []struct {
		line string
		ok   check
	}{
		{"", addrs(":11211")},
		{"-p 11999", addrs(":11999")},
		{"-p11999", addrs(":11999")},
		{"--port=11999", addrs(":11999")},
		{"-l 127.0.0.1", addrs("127.0.0.1:11211")},
		{"-l 127.0.0.1,10.0.0.1:5 -p 7", addrs("127.0.0.1:7", "10.0.0.1:5")},
		{"--listen ::1,[::1]:5,[fe80::1]", addrs("[::1]:11211", "[::1]:5", "[fe80::1]:11211")},
		{"-l *", addrs(":11211")},
		{"-m 128", func(c raftcached.Config) bool { return c.MemoryLimitBytes == 128<<20 }},
		{"-m128", func(c raftcached.Config) bool { return c.MemoryLimitBytes == 128<<20 }},
		{"--memory-limit=128", func(c raftcached.Config) bool { return c.MemoryLimitBytes == 128<<20 }},
		{"-m 1", func(c raftcached.Config) bool { return c.ItemBytesMax == 512<<10 }},
		{"-I 512k", func(c raftcached.Config) bool { return c.ItemBytesMax == 512<<10 }},
		{"--max-item-size 2M", func(c raftcached.Config) bool { return c.ItemBytesMax == 2<<20 }},
		{"-I 4096", func(c raftcached.Config) bool { return c.ItemBytesMax == 4096 }},
		{"-c 10", func(c raftcached.Config) bool { return c.MaxConns == 10 }},
		{"-t 3", func(c raftcached.Config) bool { return c.Threads == 3 }},
		{"-M", func(c raftcached.Config) bool { return c.NoEvict }},
		{"--disable-flush-all", func(c raftcached.Config) bool { return c.FlushDisabled }},
		{"-o idle_timeout=90", func(c raftcached.Config) bool { return c.IdleTimeout == 90*time.Second }},
		{"-v", func(c raftcached.Config) bool { return c.Verbose == 1 }},
		{"-v -v", func(c raftcached.Config) bool { return c.Verbose == 2 }},
		{"-vv", func(c raftcached.Config) bool { return c.Verbose == 2 }},
		{"-vvv", func(c raftcached.Config) bool { return c.Verbose == 3 }},
		{"-U 0 -B ascii", addrs(":11211")},
		{"-B binary", addrs(":11211")},
		{"-Y users", func(c raftcached.Config) bool { return c.AuthFile == "users" }},
		{"--auth-file=users", func(c raftcached.Config) bool { return c.AuthFile == "users" }},
		{"-reads local", func(c raftcached.Config) bool { return c.Reads == raftcached.ReadsLocal }},
		{"-request-timeout 500ms", func(c raftcached.Config) bool { return c.RequestTimeout == 500*time.Millisecond }},
		{"-data /x", func(c raftcached.Config) bool { return c.DataDir == "/x" }},
		{"-config FILE -id 1", addrs("127.0.0.1:11212")},
		{"--config=FILE --id=2", func(c raftcached.Config) bool { return c.ServerID == 2 && c.PeerAddr == "[::1]:11313" }},
		{"-config FILE -id 2 -peer-listen 0.0.0.0:5", func(c raftcached.Config) bool { return c.PeerAddr == "0.0.0.0:5" }},
		{"-config FILE -id 2 -p 5", addrs("[::1]:5")},
		{"-config FILE -id 2 -l 0.0.0.0", addrs("0.0.0.0:11213")},
	} {
		t.Run(c.line, func(t *testing.T) {
			req, err := parseLine(t, c.line)
			if err != nil {
				t.Fatal(err)
			}
			if !c.ok(req.cfg) {
				t.Errorf("config is %+v", req.cfg)
			}
		})
	}
}

// TestPrecedence: flags > environment > config file > defaults.
func TestPrecedence(t *testing.T) {
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
			req, err := parseLine(t, c.line, c.environment...)
			if err != nil {
				t.Fatal(err)
			}
			if req.cfg.MemoryLimitBytes != c.memoryMiB<<20 || req.cfg.MaxConns != c.conns {
				t.Errorf("memory limit is %d MiB and connection limit %d, want %d and %d",
					req.cfg.MemoryLimitBytes>>20, req.cfg.MaxConns, c.memoryMiB, c.conns)
			}
		})
	}
}

// TestWrongFlags: each mistake is answered by one sentence that says what to
// change, and by exit code 2, before anything is opened.
func TestWrongFlags(t *testing.T) {
	for _, c := range []struct {
		line        string
		environment []string
		want        string
	}{
		{"-x", nil, "unknown flag -x: run it with -h to see the flags"},
		{"-p", nil, "flag -p needs a value: run it with -h to see which"},
		{"-p x", nil, `-p is "x": write a whole number from 1 to 65535`},
		{"--port 70000", nil, `-port is "70000": write a whole number from 1 to 65535`},
		{"-m 0", nil, `-m is "0": write a whole number from 1 to 1048576`},
		{"-I 9m", nil, `-I is "9m": write a size from 1k to 8m, an item goes whole from server to server`},
		{"-I 1", nil, `-I is "1": write a size from 1k to 8m, an item goes whole from server to server`},
		{"-m 4 -I 3m", nil, "item limit of 3145728 bytes is more than half of the memory limit of 4194304: lower it to 2097152 or raise the memory limit"},
		{"-l a,,b", nil, `-l is "a,,b": write addresses like 127.0.0.1 or 127.0.0.1:11211, separated by commas`},
		{"-l h:http", nil, `address "h:http" is not host:port: write it like 127.0.0.1:11211`},
		{"-peer-listen h:5", nil, `-peer-listen is "h:5": a server alone has no peers: leave it out, or add -config`},
		{"-o modern", nil, `-o is "modern": the one option is idle_timeout=SECONDS`},
		{"-U 11211", nil, `-U is "11211": write 0: there is no UDP`},
		{"-B proxy", nil, `-B is "proxy": write auto: each connection speaks text or binary as it likes`},
		{"-d", nil, "-d is refused, the server stays in the foreground: let a service manager start it, or the shell with &"},
		{"-reads dirty", nil, `-reads is "dirty": write linearizable or local`},
		{"-request-timeout 5", nil, `-request-timeout is "5": write a time with its unit, like 500ms or 2s`},
		{"server.json", nil, `unexpected argument "server.json": every setting is a flag`},
		{"-id 1", nil, "-id chooses a server of a config: add -config server.json"},
		{"-config /none/server.json -id 1", nil, `config "/none/server.json" does not exist: name a server.json with -config`},
		{"", []string{"RAFTCACHED_THREADS=many"}, `RAFTCACHED_THREADS is "many": write a whole number from 1 to 256`},
	} {
		t.Run(c.line, func(t *testing.T) {
			var stderr bytes.Buffer
			code := Main(Process{
				Args: strings.Fields(c.line),
				Getenv: func(name string) string {
					for _, variable := range c.environment {
						if text, ok := strings.CutPrefix(variable, name+"="); ok {
							return text
						}
					}
					return ""
				},
				Stderr: &stderr,
				Open: func(context.Context, raftcached.Config) (Node, error) {
					t.Error("the node was opened")
					return nil, errors.New("opened")
				},
			})
			if got, want := stderr.String(), "raftcached: "+c.want+"\n"; got != want || code != 2 {
				t.Errorf("exit code %d and\n  %swant exit code 2 and\n  %s", code, got, want)
			}
		})
	}
}

func TestConfigNeedsID(t *testing.T) {
	_, err := parseLine(t, "-config FILE")
	if err == nil || !strings.HasSuffix(err.Error(), "lists 3 servers: choose one with -id") {
		t.Errorf("error is %v", err)
	}
	file := writeConfig(t, `{"servers": [{"id": 6, "host": "h", "clientPort": 1, "logPort": 2}]}`)
	req, err := parse([]string{"-config", file}, func(string) string { return "" })
	if err != nil || req.cfg.ServerID != 6 {
		t.Errorf("the only server of a config: id %d, %v; want 6", req.cfg.ServerID, err)
	}
}

func TestVersionAndHelp(t *testing.T) {
	var stdout bytes.Buffer
	p := Process{Args: []string{"-V"}, Getenv: func(string) string { return "" }, Stdout: &stdout}
	if code := Main(p); code != 0 || stdout.String() != "raftcached "+raftcached.Version+" (memcached 1.6.45 protocol)\n" {
		t.Errorf("-V gives exit code %d and %q", code, &stdout)
	}
	stdout.Reset()
	p.Args = []string{"--help"}
	if code := Main(p); code != 0 {
		t.Errorf("--help gives exit code %d", code)
	}
	for _, s := range settings {
		if !strings.Contains(stdout.String(), "--"+s.name) {
			t.Errorf("--help does not mention --%s", s.name)
		}
	}
}

// fakeNode stops when it is told to fail or to close.
type fakeNode struct {
	done   chan struct{}
	err    error
	closed bool
	reload func() error
}

func (n *fakeNode) Close() error          { n.closed = true; return nil }
func (n *fakeNode) Done() <-chan struct{} { return n.done }
func (n *fakeNode) Err() error            { return n.err }
func (n *fakeNode) Reload() error         { return n.reload() }

func runFake(open func(context.Context, raftcached.Config) (Node, error), stop chan struct{}) (code int, stderr string) {
	var out bytes.Buffer
	code = Main(Process{Getenv: func(string) string { return "" }, Stderr: &out, Open: open, Stop: stop})
	return code, out.String()
}

// TestExitCodes: 0 for an ordered stop, 1 for a failure, 2 for what a restart
// does not mend.
func TestExitCodes(t *testing.T) {
	stop := make(chan struct{})
	close(stop)
	node := &fakeNode{done: make(chan struct{})}
	open := func(context.Context, raftcached.Config) (Node, error) { return node, nil }
	if code, _ := runFake(open, stop); code != 0 || !node.closed {
		t.Errorf("ordered stop: exit code %d, closed %v; want 0, true", code, node.closed)
	}

	node = &fakeNode{done: make(chan struct{}), err: errors.New("sync segment: no space left")}
	close(node.done)
	code, stderr := runFake(open, nil)
	if code != 1 || !node.closed || !strings.HasSuffix(stderr, "raftcached: sync segment: no space left\n") {
		t.Errorf("failure: exit code %d, closed %v, stderr %q; want 1, true and the reason", code, node.closed, stderr)
	}

	// Told to stop while it waits for the other servers of its cluster.
	code, stderr = runFake(func(ctx context.Context, _ raftcached.Config) (Node, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, stop)
	if code != 0 || stderr != "" {
		t.Errorf("stopped while opening: exit code %d, stderr %q; want 0 and nothing", code, stderr)
	}

	code, _ = runFake(func(context.Context, raftcached.Config) (Node, error) { return nil, errors.New("port in use") }, nil)
	if code != 1 {
		t.Errorf("open fails: exit code %d, want 1", code)
	}
	code, _ = runFake(func(context.Context, raftcached.Config) (Node, error) { return nil, &raftcached.ConfigError{} }, nil)
	if code != 2 {
		t.Errorf("configuration refused: exit code %d, want 2", code)
	}
}
