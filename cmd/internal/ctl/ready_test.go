package ctl

import (
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// probed starts an admin port that has one answer to /readyz.
func probed(t *testing.T, code int, says string) (addr string) {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			code = http.StatusTeapot
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, says)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestReady: the exit code is what a probe goes by, and the line says why.
func TestReady(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = silent.Close() }()
	ok, not := probed(t, http.StatusOK, "ok\n"), probed(t, http.StatusServiceUnavailable, "no majority: servers 1, 2 are away\n")
	for _, test := range []struct {
		args string
		code int
		says string
	}{
		{"ready -s " + ok, exitOK, "ok\n"},
		{"ready -s " + not, exitFailed, "no majority: servers 1, 2 are away\n"},
		{"ready -s " + not + "," + ok, exitFailed, not + " no majority: servers 1, 2 are away\n" + ok + " ok\n"},
		{"ready -s " + probed(t, http.StatusForbidden, ""), exitFailed, "403 Forbidden to GET /readyz: is it the admin port?\n"},
		{"ready --timeout 50ms -s " + silent.Addr().String(), exitFailed, silent.Addr().String() + " does not say that it is ready: timeout\n"},
		{"ready -s 127.0.0.1:1," + ok, exitFailed, "raftcachectl: 127.0.0.1:1 does not say that it is ready: connection refused\n" + ok + " ok\n"},
		{"ready -s nowhere", exitUsage, `server "nowhere" is no address`},
		{"ready now", exitUsage, `unexpected argument "now"`},
	} {
		var out strings.Builder
		code := Main(t.Context(), Process{Args: strings.Fields(test.args), Getenv: func(string) string { return "" }, Stdout: &out, Stderr: &out})
		if code != test.code || !strings.Contains(out.String(), test.says) {
			t.Errorf("%s: exit code %d and %q, want %d and %q", test.args, code, out.String(), test.code, test.says)
		}
	}
}
