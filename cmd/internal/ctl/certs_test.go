package ctl

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const threeServers = `{"servers": [
	{"id": 0, "host": "10.0.0.1", "clientPort": 1, "logPort": 2},
	{"id": 1, "host": "10.0.0.2", "clientPort": 1, "logPort": 2, "adminPort": 3, "adminHost": "admin.example"}]}`

// TestCertsCreate makes a set that its own words say how to use: what they say to add to
// server.json is taken there, and names the files.
func TestCertsCreate(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if code, _, errs := run(t, nil, "certs", "create"); code != exitUsage || !strings.Contains(errs, "there is no server.json") {
		t.Errorf("without a server.json: %d %s", code, errs)
	}
	if err := os.WriteFile("server.json", []byte(threeServers), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errs := run(t, nil, "certs", "create", "--add", "7=10.0.0.8,h", "--days", "10")
	if code != exitOK || !strings.Contains(out, "made  certs/server-7.crt and .key, valid until 2") || !strings.Contains(out, "made  certs/operator.crt") {
		t.Fatalf("%d %s %s", code, out, errs)
	}
	_, told, _ := strings.Cut(out, "server.json:\n")
	told, _, _ = strings.Cut(told, "   If the cluster")
	var fields map[string]string
	if err := json.Unmarshal([]byte("{"+strings.TrimSuffix(strings.TrimSpace(told), ",")+"}"), &fields); err != nil || len(fields) != 3 {
		t.Fatalf("it says to add %q: %v", told, err)
	}
	for _, file := range fields {
		if _, err := os.Stat(strings.ReplaceAll(file, "{id}", "1")); err != nil {
			t.Error(err)
		}
	}
	code, out, _ = run(t, nil, "certs", "create")
	if code != exitOK || strings.Contains(out, "made") || !strings.Contains(out, "kept  certs/ca.crt and .key") {
		t.Errorf("again: %d %s", code, out)
	}
	for _, c := range []struct{ line, want string }{
		{"certs", `say what to do: run "raftcachectl certs --help"`},
		{"certs create --days 0", "--days is 0: write 1 to 3650"},
		{"certs create --add 3", "--add is \"3\": write the server's id and its host"},
		{"certs create now", "unexpected argument \"now\""},
	} {
		if code, _, errs := run(t, nil, strings.Fields(c.line)...); code != exitUsage || !strings.Contains(errs, c.want) {
			t.Errorf("%s: %d %s", c.line, code, errs)
		}
	}
}

// TestOperatorsCertificate: where it is looked for.
func TestOperatorsCertificate(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for name, text := range map[string][]byte{
		"tls.json":      []byte(`{"peerCertFile": "c", "peerCAFile": "certs/ca.crt", ` + threeServers[1:]),
		"none.json":     []byte(threeServers),
		"optional.json": []byte(`{"peerCertFile": "c", "peerCAFile": "certs/ca.crt", "peerTLS": "optional", ` + threeServers[1:]),
		"gone.json":     []byte(`{"peerCertFile": "c", "peerCAFile": "elsewhere/ca.crt", ` + threeServers[1:]),
	} {
		if err := os.WriteFile(name, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errs := run(t, nil, "certs", "create", "--config", "none.json"); code != exitOK {
		t.Fatal(errs)
	}
	beside := filepath.Join("certs", "operator.crt")
	for _, c := range []struct {
		ctl         ctl
		environment map[string]string
		chain, err  string
	}{
		{ctl{}, nil, "", ""},
		{ctl{config: "tls.json"}, nil, beside, ""},
		{ctl{config: "none.json"}, nil, "", ""},
		{ctl{config: "gone.json"}, nil, "", ""},
		{ctl{}, map[string]string{configVariable: "tls.json"}, beside, ""},
		{ctl{config: "tls.json", cert: "x", cacert: "y"}, nil, "x", ""},
		{ctl{}, map[string]string{certVariable: "x", cacertVariable: "y", keyVariable: "z"}, "x", ""},
		{ctl{cert: "x"}, nil, "", "name their file with --cacert"},
		{ctl{cacert: "x"}, nil, "", "name it with --cert"},
	} {
		c.ctl.Getenv = func(name string) string { return c.environment[name] }
		files, err := c.ctl.operatorFiles()
		if c.err == "" && (err != nil || files.Chain != c.chain) || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
			t.Errorf("%+v %v: %+v, %v", c.ctl, c.environment, files, err)
		}
	}
	c := ctl{config: "tls.json", Process: Process{Getenv: func(string) string { return "" }}}
	client, err := c.newClient()
	if err != nil || client.TLS == nil || client.PlainLooks {
		t.Errorf("a client with it: %+v, %v", client, err)
	}
	c.config = "optional.json"
	if client, err = c.newClient(); err != nil || client.TLS == nil || !client.PlainLooks {
		t.Errorf("a client while some servers have no TLS: %+v, %v", client, err)
	}
	c = ctl{cert: "nowhere", cacert: "certs/ca.crt", Process: c.Process}
	if _, err := c.newClient(); err == nil || !strings.Contains(err.Error(), "nowhere") {
		t.Errorf("a file that is not there: %v", err)
	}
}
