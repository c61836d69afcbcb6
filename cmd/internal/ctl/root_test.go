package ctl

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"raftcached"
	"raftcached/internal/importer"
)

// run runs the program and returns its exit code and what it wrote.
func run(t *testing.T, environment map[string]string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs strings.Builder
	code = Main(t.Context(), Process{
		Args: args, Getenv: func(name string) string { return environment[name] }, Stdout: &out, Stderr: &errs,
	})
	return code, out.String(), errs.String()
}

func TestUsageErrors(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, c := range []struct{ line, want string }{
		{"stats", `unknown command "stats" for "raftcachectl"`},
		{"statsu", "unknown command \"statsu\" for \"raftcachectl\": is status meant?\n"},
		{"version x", `unexpected argument "x": run "raftcachectl version --help"`},
		{"status x", `unexpected argument "x": run "raftcachectl status --help"`},
		{"status -o yaml", `output "yaml" is unknown: write -o table or -o json`},
		{"status --outptu json", "unknown flag --outptu: did you mean --output?"},
		{"status --nope", `unknown flag: --nope: run "raftcachectl status --help"`},
		{"import", `name one memcached, like 10.0.0.9:11211: run "raftcachectl import --help"`},
		{"import 10.0.0.9", `memcached "10.0.0.9" is no address: write host:port, like 10.0.0.9:11211`},
		{"import 10.0.0.9:1 --tls-cert x", `--tls-cert and --tls-key are for TLS: add --tls-ca, or --tls`},
		{"import 10.0.0.9:1 --from-tls --from-tls-key x", `--from-tls-key is the key of a certificate: name that by --from-tls-cert`},
		{"member", `say what to do: run "raftcachectl member --help"`},
		{"member grow", `unknown command "grow" for "raftcachectl member"`},
		{"member lits", "unknown command \"lits\" for \"raftcachectl member\": is list meant?\n"},
		{"certs", `say what to do: run "raftcachectl certs --help"`},
		{"certs make", `unknown command "make" for "raftcachectl certs"`},
		{"log", `say what to do: run "raftcachectl log --help"`},
		{"log dmp", "unknown command \"dmp\" for \"raftcachectl log\": is dump meant?\n"},
		{"member replace", `name one server by its id, like 1: run "raftcachectl member replace --help"`},
		{"member replace one", `server "one" is no id: write a number, like 1`},
		{"member add 3", `say where server 3 is to run, by --host: run "raftcachectl member add --help"`},
		{"member move 3", `say what changes, by --host, --port or --log-port: run "raftcachectl member move --help"`},
		{"member list -o xml", `output "xml" is unknown: write -o table or -o json`},
		{"recover", `name the data folder with --data: run "raftcachectl recover --help"`},
		{"log dump", `name the data folder with --data: run "raftcachectl log dump --help"`},
		{"log dump --data x --from 5 --to 4", `there is nothing from 5 to 4: give --to a number that is not below --from`},
		{"log dump -data x -from=5 -to 4", `there is nothing from 5 to 4: give --to a number that is not below --from`},
		{"member list -output xml", `output "xml" is unknown: write -o table or -o json`},
		{"verify --wait 3", "invalid argument \"3\" for \"--wait\" flag: run \"raftcachectl verify --help\"\n"},
		{"status --timeout 0", `--timeout is 0s: write a time above 0, like 1.5s`},
		{"status --server 10.0.0.1", `server "10.0.0.1" is no address: write host:port, like 127.0.0.1:11411`},
		{"status --server 10.0.0.1:admin", `server "10.0.0.1:admin" is no address: write host:port, like 127.0.0.1:11411`},
		{"status --config none.json", `config "none.json" does not exist: name a server.json with -config`},
		{"top --cert none --cacert none", `read the certificate file: open none: no such file or directory`},
		{"ready --key x", `--key and --cacert are for the operator's certificate: name it with --cert`},
	} {
		code, _, stderr := run(t, nil, strings.Fields(c.line)...)
		if code != exitUsage || !strings.Contains(stderr, "raftcachectl: "+c.want) {
			t.Errorf("%q: exit code %d, %q; want %d and %q", c.line, code, stderr, exitUsage, c.want)
		}
	}
}

// TestNobodyAnswers: a silent server costs one timeout, and the exit code is that of
// a cluster without a majority.
func TestNobodyAnswers(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // never accepts
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	begin := time.Now()
	addr := silent.Addr().String()
	code, _, stderr := run(t, nil, "status", "-server", addr+","+addr, "-timeout=100ms")
	want := "raftcachectl: no server answers (" + addr + ": timeout, " + addr + ": timeout): start one, or name another admin port with --server\n"
	if code != exitNoMajority || stderr != want {
		t.Errorf("exit code %d, %q; want %d, %q", code, stderr, exitNoMajority, want)
	}
	if took := time.Since(begin); took > 20*time.Second {
		t.Errorf("it took %v", took)
	}
}

// TestSeeds: where the servers are looked for.
func TestSeeds(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	const entry = `{"servers": [{"id": 0, "host": "127.0.0.1", "clientPort": 1, "logPort": 2, "adminPort": PORT}]}`
	write := func(name, port string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(strings.Replace(entry, "PORT", port, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	here, there := "server.json", write("other.json", "4")
	for _, c := range []struct {
		ctl         ctl
		environment map[string]string
		here        bool // there is a server.json
		want        string
	}{
		{ctl{}, nil, false, "127.0.0.1:11411"},
		{ctl{}, nil, true, "127.0.0.1:3"},
		{ctl{}, map[string]string{configVariable: there}, true, "127.0.0.1:4"},
		{ctl{}, map[string]string{serverVariable: "a:1, b:2"}, true, "a:1 b:2"},
		{ctl{config: there}, map[string]string{serverVariable: "a:1"}, true, "127.0.0.1:4"},
		{ctl{config: there, servers: []string{"c:3"}}, nil, true, "c:3"},
		{ctl{servers: []string{"c"}}, nil, true, `server "c" is no address: write host:port, like 127.0.0.1:11411`},
	} {
		if err := os.RemoveAll(here); err != nil {
			t.Fatal(err)
		}
		if c.here {
			write(here, "3")
		}
		c.ctl.Getenv = func(name string) string { return c.environment[name] }
		got, err := c.ctl.seeds()
		text := strings.Join(got, " ")
		if err != nil {
			text = err.Error()
		}
		if text != c.want {
			t.Errorf("with %+v, %v: %q, want %q", c.environment, c.here, text, c.want)
		}
	}
}

func TestCompletionAndHelp(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if code, stdout, _ := run(t, nil, "completion", shell); code != exitOK || !strings.Contains(stdout, "raftcachectl") {
			t.Errorf("completion %s: exit code %d, %d bytes", shell, code, len(stdout))
		}
	}
	for _, command := range []string{"status", "verify", "import", "backup", "restore", "inspect", "recover", "log dump", "member", "member list", "member add", "member replace", "member remove", "member promote", "member move", "member transfer", "version"} {
		code, stdout, _ := run(t, nil, append(strings.Fields(command), "--help")...)
		if code != exitOK || !strings.Contains(stdout, "Examples:") || !strings.Contains(stdout, "Exit code: 0") {
			t.Errorf("%s --help: exit code %d\n%s", command, code, stdout)
		}
	}
	for _, words := range []string{"version", "--version", "-version"} {
		if code, stdout, stderr := run(t, nil, words); code != exitOK || stdout != "raftcachectl "+raftcached.Version+"\n" || stderr != "" {
			t.Errorf("%s: exit code %d, %q, %q", words, code, stdout, stderr)
		}
	}
}

// TestCompletion offers commands, and the ids of servers that there are.
func TestCompletion(t *testing.T) {
	t.Chdir(t.TempDir())
	addr := operated(t, &fakeServer{status: *statusOf(0, 3), list: three()})
	for _, c := range []struct {
		line []string
		want []string
	}{
		{[]string{"mem"}, []string{"member\tShow and change"}},
		{[]string{"member", "re"}, []string{"remove\t", "replace\t"}},
		{[]string{"-s", addr, "member", "replace", ""}, []string{"0\t10.0.0.1:11211", "1\t10.0.0.2:11211", "2\t10.0.0.3:11211", ":4"}},
		{[]string{"-s", addr, "member", "transfer", "1", ""}, []string{":4"}},
		{[]string{"member", "add", "--le"}, []string{"--learner"}},
		{[]string{"member", "list", "-o", ""}, []string{"table", "json"}},
	} {
		code, stdout, _ := run(t, nil, append([]string{"__complete"}, c.line...)...)
		for _, want := range c.want {
			if code != exitOK || !strings.Contains(stdout, want) {
				t.Errorf("%q: exit code %d, %q lacks %q", c.line, code, stdout, want)
			}
		}
	}
}

func TestProgressLine(t *testing.T) {
	for _, c := range []struct {
		p    importer.Progress
		want string
	}{
		{importer.Progress{Listed: 7}, "listing keys: 7"},
		{importer.Progress{Copying: true}, "[....................] 0 of 0 items"},
		{importer.Progress{Copying: true, Listed: 100, Stored: 40, Gone: 5, Failed: 5}, "[##########..........] 50 of 100 items"},
		{importer.Progress{Copying: true, Listed: 3, Stored: 3}, "[####################] 3 of 3 items"},
	} {
		if got := progressLine(c.p); got != c.want {
			t.Errorf("%+v: %q, want %q", c.p, got, c.want)
		}
	}
}

// TestSecret: where the cluster's secret is looked for.
func TestSecret(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string]string{
		"text.json": `{"secret": "in the server.json", "servers": [{"id": 0, "host": "127.0.0.1", "clientPort": 1, "logPort": 2}]}`,
		"file.json": `{"secretFile": "s", "servers": [{"id": 0, "host": "127.0.0.1", "clientPort": 1, "logPort": 2}]}`,
		"none.json": `{"servers": [{"id": 0, "host": "127.0.0.1", "clientPort": 1, "logPort": 2}]}`,
		"s":         "in a file of its own\n", "short": "short",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		ctl         ctl
		environment string // RAFTCACHECTL_CONFIG
		want        string
	}{
		{ctl{}, "", ""},
		{ctl{}, "text.json", "in the server.json"},
		{ctl{servers: []string{"a:1"}}, "text.json", ""},
		{ctl{config: "file.json", servers: []string{"a:1"}}, "", "in a file of its own"},
		{ctl{config: "none.json"}, "", ""},
		{ctl{config: "none.json", secret: "s"}, "", "in a file of its own"},
		{ctl{secret: "short"}, "", `the secret in file "short" has 5 bytes: choose one of 16 to 4096`},
	} {
		c.ctl.Getenv = func(name string) string {
			if name == configVariable {
				return c.environment
			}
			return ""
		}
		client, err := c.ctl.newClient()
		var got string
		if err != nil {
			got = err.Error()
		} else {
			got = string(client.Secret)
		}
		if got != c.want {
			t.Errorf("with %+v, %q: %q, want %q", c.ctl, c.environment, got, c.want)
		}
	}
}

// TestRefusalHelp: a cluster with users needs no more memory.
func TestRefusalHelp(t *testing.T) {
	for failure, want := range map[string]string{
		`"k1": CLIENT_ERROR unauthenticated`:              "--auth-file",
		`"k1": SERVER_ERROR object too large for cache`:   "raise -I or -m",
		`"k1": SERVER_ERROR out of memory storing object`: "raise -I or -m",
	} {
		if got := refusalHelp(failure); !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %s in it", failure, got, want)
		}
	}
}
