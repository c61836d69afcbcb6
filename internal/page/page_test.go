package page

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"raftcached/internal/admin"
	"raftcached/internal/overview"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// served is a page whose server counts how often it is asked.
type served struct {
	page  *Page
	http  *httptest.Server
	asked atomic.Int64
}

// serve opens a page until the test ends. other is the admin port of another server.
func serve(t *testing.T, other string) *served {
	t.Helper()
	s := &served{}
	s.page = New(Config{
		Own: func(context.Context) *admin.Status {
			s.asked.Add(1)
			return &admin.Status{
				StatusVersion: admin.StatusVersion, Cluster: "c", ClusterVersion: 1, State: admin.StateOK, Role: "leader", Servers: []admin.Member{{Self: true}, {ID: 1, AdminAddress: other}},
				Figures: &admin.Figures{HotKeys: []admin.HotKey{{Key: "<img src=x>", Reads: 1}}, Events: []admin.Event{{Text: "server 0 leads"}}},
			}
		},
		NewClient: func() *admin.Client { return new(admin.Client) },
	})
	s.http = httptest.NewServer(s.page)
	t.Cleanup(func() {
		s.page.Close()
		s.http.Close()
		http.DefaultClient.CloseIdleConnections()
	})
	return s
}

// watch opens a stream, and returns what reads its next snapshot.
func watch(ctx context.Context, t *testing.T, s *served) (next func() (*overview.Snapshot, error), code int) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.http.URL+"/events", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	lines := bufio.NewReader(resp.Body)
	return func() (*overview.Snapshot, error) {
		line, err := lines.ReadString('\n')
		if err != nil {
			return nil, err
		}
		if blank, err := lines.ReadString('\n'); err != nil || blank != "\n" {
			t.Fatalf("after an event comes %q, %v", blank, err)
		}
		var shot overview.Snapshot
		return &shot, json.Unmarshal([]byte(strings.TrimPrefix(line, "data: ")), &shot)
	}, resp.StatusCode
}

// TestStream: one snapshot after the other, for several who watch from one question; none
// when nobody watches; and the end with the server.
func TestStream(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0") // never answers
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	s := serve(t, l.Addr().String())
	ctx, cancel := context.WithCancel(t.Context())
	next, _ := watch(ctx, t, s)
	second, _ := watch(ctx, t, s)
	for i := range 2 {
		a, err := next()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := second(); err != nil {
			t.Fatal(err)
		}
		if a.View.Servers[0].State != admin.StateOK || a.View.Servers[1].State != overview.StateUnreachable || a.Events[0].Text != "server 0 leads" || a.ClusterVersion != "cluster version 1" || (a.Rates == nil) != (i == 0) {
			t.Errorf("snapshot %d: %+v", i, a)
		}
	}
	if asked := s.asked.Load(); asked > 4 {
		t.Errorf("for two snapshots of two streams the server was asked %d times", asked)
	}
	cancel()
	await(t, func() bool {
		s.page.mu.Lock()
		defer s.page.mu.Unlock()
		return s.page.streams == 0 && s.page.client == nil
	})

	third, _ := watch(t.Context(), t, s)
	if _, err := third(); err != nil {
		t.Fatal(err)
	}
	s.page.Close()
	for err = nil; err == nil; {
		_, err = third()
	}
	if !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a stream of a server that stops ends with %v", err)
	}
}

// await waits for what another goroutine does.
func await(t *testing.T, done func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-t.Context().Done():
			t.Fatal("it does not come")
		}
	}
}

// TestStreamsAreBounded: one more is told so, until another ends.
func TestStreamsAreBounded(t *testing.T) {
	s := serve(t, "")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range streamsMax {
		if _, code := watch(ctx, t, s); code != http.StatusOK {
			t.Fatal(code)
		}
	}
	if _, code := watch(ctx, t, s); code != http.StatusServiceUnavailable {
		t.Errorf("one more stream: %d", code)
	}
	cancel()
	await(t, func() bool { _, code := watch(t.Context(), t, s); return code == http.StatusOK })
}

// TestFiles: each file of the page has the policy, and names no other host.
func TestFiles(t *testing.T) {
	s := serve(t, "")
	for _, path := range []string{"/", "/page.js", "/page.css", "/icon.svg"} {
		resp, err := http.Get(s.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(resp.Body)
		if _ = resp.Body.Close(); err != nil || resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Security-Policy") != policy {
			t.Errorf("%s: %s, %v, policy %q", path, resp.Status, err, resp.Header.Get("Content-Security-Policy"))
		}
		for _, word := range []string{"innerHTML", "https://", "<script>", "style=", "onclick"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %q", path, word)
			}
		}
	}
}

// TestOthersAreAskedOnce whatever the members say of their admin ports.
func TestOthersAreAskedOnce(t *testing.T) {
	got := othersOf(&admin.Status{Servers: []admin.Member{
		{AdminAddress: "a", Self: true}, {AdminAddress: "b"}, {AdminAddress: "a"}, {}, {AdminAddress: "b"}, {AdminAddress: "c"},
	}})
	if !slices.Equal(got, []string{"b", "c"}) {
		t.Errorf("asked are %q", got)
	}
}
