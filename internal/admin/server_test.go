package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// fakeNode answers what a test says.
type fakeNode struct {
	state, reason string
	status        Status
	backup        func(w io.Writer) error
	restore       func(s *RestoreStep) (uint64, error)

	members MemberList
	asked   []string // operations
	refuses error
}

func (n *fakeNode) Ready(context.Context) (state, reason string) { return n.state, n.reason }
func (n *fakeNode) Status(context.Context) Status                { return n.status }
func (n *fakeNode) Metrics() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "figures") })
}

func (n *fakeNode) Figures() *Figures { return &Figures{Reads: 7} }

func (n *fakeNode) Page() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "page") })
}

func (n *fakeNode) HotKeys() HotKeys {
	return HotKeys{ID: 1, Counted: true, Keys: []HotKey{{Key: "k", Reads: 2, Writes: 1}}}
}

func (n *fakeNode) Slow() SlowCommands {
	return SlowCommands{ID: 1, Commands: []SlowCommand{{Command: "set", Ms: 100}}}
}
func (n *fakeNode) Backup(_ context.Context, w io.Writer) error { return n.backup(w) }

func (n *fakeNode) Restore(_ context.Context, s *RestoreStep) (uint64, error) { return n.restore(s) }

// serve opens an admin port of a node until the test ends, and returns its address.
func serve(t *testing.T, n Node) string {
	t.Helper()
	s, err := Listen(Config{Addr: "127.0.0.1:0", Logger: slog.New(slog.DiscardHandler)}, n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s.Addr().String()
}

// ask sends a request and returns the code and the body.
func ask(t *testing.T, method, url string, header map[string]string, body string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
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

func TestProbes(t *testing.T) {
	ready := serve(t, &fakeNode{state: StateOK})
	stopping := serve(t, &fakeNode{state: StateStopping, reason: "it stops"})
	voter := serve(t, &fakeNode{state: StateOK, status: Status{Servers: []Member{{ID: 1, Learner: true}, {ID: 2, Self: true}}}})
	newcomer := serve(t, &fakeNode{state: StateOK, status: Status{Servers: []Member{{ID: 1}, {ID: 2, Self: true, Learner: true}}}})
	replica := serve(t, &fakeNode{state: StateOK, status: Status{Servers: []Member{{ID: 1}, {ID: 2, Self: true, Learner: true, Stays: true}}}})
	for _, c := range []struct {
		addr, path string
		code       int
		body       string
	}{
		{ready, "/livez", 200, "ok\n"},
		{ready, "/readyz", 200, "ok\n"},
		{voter, "/readyz?vote", 200, "ok\n"},
		{replica, "/readyz?vote", 200, "ok\n"},
		{newcomer, "/readyz", 200, "ok\n"},
		{newcomer, "/readyz?vote", 503, "catching up: it serves clients, and has no vote yet: the cluster cannot count on it\n"},
		{stopping, "/readyz?vote", 503, "stopping: it stops\n"},
		{stopping, "/livez", 200, "ok\n"},
		{stopping, "/readyz", 503, "stopping: it stops\n"},
		{ready, "/metrics", 200, "figures"},
		{ready, "/", 200, "page"},
		{ready, "/events", 200, "page"},
		{ready, "/metricz", 404, "there is no \"/metricz\": ask for /, /livez, /readyz, /status, /members, /hotkeys, /slow or /metrics\n"},
	} {
		code, body := ask(t, http.MethodGet, "http://"+c.addr+c.path, nil, "")
		if code != c.code || body != c.body {
			t.Errorf("%s: %d %q, want %d %q", c.path, code, body, c.code, c.body)
		}
	}
	if code, body := ask(t, http.MethodHead, "http://"+ready+"/readyz", nil, ""); code != 200 || body != "" {
		t.Errorf("HEAD /readyz: %d %q", code, body)
	}
}

// TestChangesAreGuarded: nothing that may change something comes through from a
// page of a browser.
func TestChangesAreGuarded(t *testing.T) {
	url := "http://" + serve(t, &fakeNode{state: StateOK}) + "/status"
	for _, c := range []struct {
		why    string
		header map[string]string
		code   int
	}{
		{"from a tool", map[string]string{"Content-Type": "application/json"}, http.StatusMethodNotAllowed},
		{"a form", map[string]string{"Content-Type": "application/x-www-form-urlencoded"}, http.StatusUnsupportedMediaType},
		{"text, which a page may send without asking", map[string]string{"Content-Type": "text/plain"}, http.StatusUnsupportedMediaType},
		{"without a type", nil, http.StatusUnsupportedMediaType},
		{"from another site", map[string]string{"Content-Type": "application/json", "Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"from an origin", map[string]string{"Content-Type": "application/json", "Origin": "http://evil.example"}, http.StatusForbidden},
		{"from a name that points here", map[string]string{"Content-Type": "application/json", "Origin": "http://" + strings.TrimSuffix(url[7:], "/status")}, http.StatusForbidden},
	} {
		for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete} {
			if code, body := ask(t, method, url, c.header, "{}"); code != c.code {
				t.Errorf("%s %s: %d %q, want %d", method, c.why, code, body, c.code)
			}
		}
	}
}

func TestOnlyThisMachineChanges(t *testing.T) {
	for _, c := range []struct {
		remote, local string
		here          bool
	}{
		{"127.0.0.1:5", "127.0.0.1", true},
		{"[::1]:5", "::1", true},
		{"10.0.0.1:5", "10.0.0.1", true},
		{"10.0.0.2:5", "10.0.0.1", false},
		{"", "10.0.0.1", false},
	} {
		r := &http.Request{RemoteAddr: c.remote}
		ctx := context.WithValue(t.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.ParseIP(c.local)})
		if got := fromThisMachine(r.WithContext(ctx)); got != c.here {
			t.Errorf("from %q to %q: this machine %v, want %v", c.remote, c.local, got, c.here)
		}
	}
}

// TestForwardedIsFromElsewhere: a proxy on this machine does not make this machine's of what
// it sends on.
func TestForwardedIsFromElsewhere(t *testing.T) {
	g := newGuard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), nil, true)
	for name, want := range map[string]int{
		"Forwarded": http.StatusForbidden, "Via": http.StatusForbidden, "X-Forwarded-For": http.StatusForbidden,
		"x-forwarded-proto": http.StatusForbidden, "X-Real-IP": http.StatusForbidden, "X-Request-ID": http.StatusOK,
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://127.0.0.1/backup", strings.NewReader("{}"))
		r.RemoteAddr = "127.0.0.1:5"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(name, "x")
		w := httptest.NewRecorder()
		if g.ServeHTTP(w, r); w.Code != want {
			t.Errorf("with %s: %d, want %d", name, w.Code, want)
		}
	}
}

// TestStatusShape holds the names of the JSON: programs read them.
func TestStatusShape(t *testing.T) {
	now := time.Date(2026, 11, 26, 18, 11, 32, 0, time.UTC)
	addr := serve(t, &fakeNode{status: Status{
		StatusVersion: StatusVersion, State: StateNoMajority, Reason: "x", WritesRefused: "disk full", Disk: &Disk{ReserveBytes: 1, Space: "low", LogBytes: 1}, Digests: []Digest{{Index: 1}},
		Servers: []Member{{LogAddress: "a:1", AdminAddress: "a:2", Since: &now, Seconds: 1.5, HeardSeconds: new(0.01), Why: "timeout", Learner: true, Stays: true, Awaited: true, Replaced: true}},
	}})
	_, body := ask(t, http.MethodGet, "http://"+addr+"/status", nil, "")
	var got map[string]any
	if err := json.Unmarshal([]byte(body), &got); err != nil {
		t.Fatal(err)
	}
	names := func(v any) string { return strings.Join(slices.Sorted(maps.Keys(v.(map[string]any))), " ") }
	first := func(v any) any { return v.([]any)[0] }
	for _, c := range []struct{ what, got, want string }{
		{"status", names(got), "appliedIndex cluster commitIndex digests disk id lastLogIndex leaderId majority membersVersion memory reason role servers startedAt state statusVersion term uptimeSeconds verdict version voters writesRefused"},
		{"memory", names(got["memory"]), "bytes digest items limitBytes"},
		{"disk", names(got["disk"]), "freeBytes logBytes reserveBytes space totalBytes"},
		{"digest", names(first(got["digests"])), "contents index order"},
		{"server", names(first(got["servers"])), "address adminAddress awaited heardSeconds id learner logAddress reachable replaced seconds self since stays why"},
	} {
		if c.got != c.want {
			t.Errorf("%s has\n%s, want\n%s", c.what, c.got, c.want)
		}
	}
	s, err := new(Client).Status(t.Context(), addr)
	if err != nil || s.State != StateNoMajority || s.Ready() || s.Servers[0].Why != "timeout" {
		t.Errorf("the client has %+v, %v", s, err)
	}
}

// TestConnectionsAreBounded: for one more than allowed the oldest that is not being answered gives
// way, whether it asks nothing, asks slowly, or was answered. While all are being answered one
// more waits.
func TestConnectionsAreBounded(t *testing.T) {
	n := &slowNode{fakeNode: fakeNode{state: StateOK}, asked: make(chan bool, connsMax), answer: make(chan bool)}
	addr := serve(t, n)
	connect := func(send string) net.Conn {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() }) // it may have given way
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		return c
	}
	const probe = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
	answers := func(c net.Conn) {
		t.Helper()
		if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(c, make([]byte, len("HTTP/1.1 200"))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 3 * connsMax {
		connect([]string{"", "GET /li", probe}[i%3])
	}
	answers(connect(probe))
	var busy []net.Conn
	for range connsMax {
		busy = append(busy, connect("GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"))
		<-n.asked
	}
	waits := connect(probe)
	if err := waits.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := waits.Read(make([]byte, 1)); err == nil {
		t.Error("one more is answered while all others are being")
	}
	close(n.answer)
	answers(waits)
	for _, c := range busy[1:] { // the first may have given way
		answers(c)
	}
}

// slowNode tells its status when it may.
type slowNode struct {
	fakeNode
	asked, answer chan bool
}

func (n *slowNode) Status(ctx context.Context) Status {
	n.asked <- true
	<-n.answer
	return n.fakeNode.Status(ctx)
}

// TestNamesThatPointHere: at an address of its own machine the port is opened by that, not by a name
// that a page of somebody else's could have. Probes may come by any.
func TestNamesThatPointHere(t *testing.T) {
	seen := false
	next := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { seen = true })
	here, open := newGuard(next, nil, true), newGuard(next, nil, false)
	for _, c := range []struct {
		g          *guard
		path, host string
		sees       bool
	}{
		{here, "/hotkeys", "127.0.0.1:11411", true},
		{here, "/hotkeys", "localhost:11411", true},
		{here, "/", "[::1]:11411", true},
		{here, "/", "[::1]", true},
		{here, "/hotkeys", "evil.example:11411", false},
		{here, "/", "evil.example", false},
		{here, "/livez", "evil.example:11411", true},
		{open, "/hotkeys", "cache1.example:11411", true},
	} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+c.host+c.path, http.NoBody)
		seen = false
		if c.g.ServeHTTP(httptest.NewRecorder(), r); seen != c.sees {
			t.Errorf("%s%s: seen: %v, want %v", c.host, c.path, seen, c.sees)
		}
	}
}
