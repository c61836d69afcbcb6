package admin

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
)

// TestPortForProbes answers probes as the admin port does, without TLS or a name, and nothing else.
func TestPortForProbes(t *testing.T) {
	n := &fakeNode{state: StateOK}
	s, err := ListenForProbes("127.0.0.1:0", n, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	addr := s.Addr().String()
	ask := func(method, path string) (int, string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Host = "pod-3.example" // whatever a prober calls it
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = resp.Body.Close() }()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
	for _, c := range []struct {
		method, path string
		code         int
		text         string
	}{
		{"GET", "/livez", 200, "ok\n"},
		{"HEAD", "/livez", 200, ""},
		{"GET", "/readyz", 200, "ok\n"},
		{"GET", "/readyz?vote", 200, "ok\n"},
		{"GET", "/status", 404, "at the port for probes"},
		{"GET", "/", 404, "at the port for probes"},
		{"GET", "/metrics", 404, "at the port for probes"},
		{"GET", "/hotkeys", 404, "at the port for probes"},
		{"POST", "/members/transfer", 404, "at the port for probes"},
		{"POST", "/backup", 404, "at the port for probes"},
	} {
		if code, text := ask(c.method, c.path); code != c.code || !strings.Contains(text, c.text) {
			t.Errorf("%s %s: %d %q, want %d %q", c.method, c.path, code, text, c.code, c.text)
		}
	}
	if len(n.asked) > 0 {
		t.Errorf("the node was asked %q", n.asked)
	}
	n.state, n.reason = StateNoMajority, "it cannot reach server 1"
	if code, text := ask("GET", "/readyz"); code != 503 || !strings.Contains(text, "it cannot reach server 1") {
		t.Errorf("not ready: %d %q", code, text)
	}
	client := &Client{}
	defer client.Close()
	if ready, why, err := client.Ready(t.Context(), addr); ready || err != nil || !strings.Contains(why, "it cannot reach server 1") {
		t.Errorf("raftcachectl ready: %v, %q, %v", ready, why, err)
	}
}
