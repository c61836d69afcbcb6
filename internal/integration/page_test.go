package integration

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/internal/overview"
)

// pageNews is how soon the page must tell what has happened: a second between two
// snapshots, and an election.
const pageNews = 2 * time.Second

// watchPage opens the stream of a server's page, and returns what waits for a snapshot in
// which something is so.
func watchPage(ctx context.Context, t *testing.T, s *cluster.Server) (await func(what string, is func(*overview.Snapshot) bool) *overview.Snapshot) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.AdminAddr+"/events", nil)
	must(t, err)
	resp, err := http.DefaultClient.Do(req)
	must(t, err)
	t.Cleanup(func() { _ = resp.Body.Close() }) // it was read
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("GET /events: %s, %s", resp.Status, resp.Header.Get("Content-Type"))
	}
	lines := bufio.NewReader(resp.Body)
	return func(what string, is func(*overview.Snapshot) bool) *overview.Snapshot {
		t.Helper()
		last := ""
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Fatalf("%s: the stream of server %d ends with %v after %s", what, s.ID, err, last)
			}
			text, isData := strings.CutPrefix(line, "data: ")
			if !isData {
				continue
			}
			last = text
			var shot overview.Snapshot
			must(t, json.Unmarshal([]byte(text), &shot))
			if is(&shot) {
				return &shot
			}
		}
	}
}

// leads reports whether a snapshot has one leader among the servers that answer, which is
// none of the given ones.
func leads(s *overview.Snapshot, not ...int) bool {
	leaders := 0
	for _, r := range s.View.Servers {
		if r.Answered && r.Role == "leader" {
			leaders++
			if slices.Contains(not, r.ID) {
				return false
			}
		}
	}
	return leaders == 1
}

// TestPageTellsWhatHappens: what clients do; within two seconds that the leader is lost,
// who leads now and what helps; and that it is back.
func TestPageTellsWhatHappens(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	watcher := followersOf(c, leader)[0]
	await := watchPage(ctx, t, watcher)
	await("three are well", func(s *overview.Snapshot) bool { return s.View.Verdict == overview.OK && leads(s) })

	client := clientOf(t, leader)
	await("what clients do", func(s *overview.Snapshot) bool {
		for i := range 20 {
			must(t, client.Set(&memcache.Item{Key: fmt.Sprint("key", i), Value: []byte("v")}))
			_, err := client.Get(fmt.Sprint("key", i))
			must(t, err)
		}
		_, _ = client.Get("none") // a miss
		r := s.Rates
		return r != nil && r.Writes > 0 && r.Reads > 0 && r.Hits != nil && *r.Hits > 0.5 && *r.Hits < 1 && r.WriteP99 != nil && r.CommitP99 != nil && r.SyncP99 != nil
	})

	must(t, leader.Kill())
	began := time.Now()
	shot := await("another leads", func(s *overview.Snapshot) bool {
		return leads(s, leader.ID) && s.View.Servers[leader.ID].State == overview.StateUnreachable
	})
	if took := time.Since(began); took > pageNews && !underRace {
		t.Errorf("the page tells of the new leader after %v", took)
	}
	if shot.View.Verdict != overview.Degraded || len(shot.View.Problems) != 1 {
		t.Fatalf("the view is %+v", shot.View)
	}
	p := shot.View.Problems[0]
	if p.ServerID == nil || *p.ServerID != leader.ID || !strings.Contains(p.Text, "connection refused") ||
		!strings.Contains(p.Help, "Start it again") || !strings.Contains(p.Help, fmt.Sprintf("raftcachectl member replace %d", leader.ID)) {
		t.Errorf("what helps: %+v", p)
	}
	for _, want := range []string{fmt.Sprintf("lost server %d ", leader.ID), " leads (term "} {
		await("an event "+want, func(s *overview.Snapshot) bool {
			return s.Elections != nil && *s.Elections >= 2 && slices.ContainsFunc(texts(s), func(text string) bool { return strings.Contains(text, want) })
		})
	}
	must(t, leader.Start())
	await("it is back", func(s *overview.Snapshot) bool { return s.View.Verdict == overview.OK && leads(s) })
}

func texts(s *overview.Snapshot) (texts []string) {
	for _, e := range s.Events {
		texts = append(texts, e.Text)
	}
	return texts
}

// TestPageWithoutMajority: the last server tells that, goes on telling, and its stream ends
// with it.
func TestPageWithoutMajority(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	await := watchPage(ctx, t, c.Servers[0])
	await("three are well", func(s *overview.Snapshot) bool { return s.View.Verdict == overview.OK })
	must(t, c.Servers[1].Kill())
	must(t, c.Servers[2].Pause()) // it hangs: its connections stay
	await("no majority", func(s *overview.Snapshot) bool {
		return s.View.Verdict == overview.NoMajority && s.View.Servers[1].State == overview.StateUnreachable && !s.View.Servers[2].Answered
	})
	must(t, c.Servers[2].Resume())
	await("a majority again", func(s *overview.Snapshot) bool { return s.View.Verdict == overview.Degraded })
	stopping, cancel := context.WithTimeout(ctx, requestPatience)
	defer cancel()
	must(t, c.Servers[0].Stop(stopping))
}

// TestTopOfServers: raftcachectl top shows what the page does.
func TestTopOfServers(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	ctl := ctlOf(ctx, t, c)
	client := clientOf(t, c.Servers[0])
	writing, stop := context.WithCancel(ctx)
	written := make(chan error, 1)
	go func() {
		var err error
		for err == nil && writing.Err() == nil {
			err = client.Set(&memcache.Item{Key: "key", Value: []byte("v")})
		}
		written <- err
	}()
	awaitOutput(ctx, t, ctl, 0, []string{"3 servers · OK: one loss is survived\n", " LEADER ", " reads/s ", " EVENTS ", " leads (term "}, "top", "-n", "1")
	code, out, errs := ctl("top", "-n", "2")
	stop()
	must(t, <-written)
	if code != 0 || strings.Contains(out, " 0 writes/s") || strings.Contains(out, "commit -/-") || strings.Contains(out, "\x1b") {
		t.Errorf("exit code %d, wrote\n%s%s", code, out, errs)
	}
}
