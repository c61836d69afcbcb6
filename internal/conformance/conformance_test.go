package conformance

import (
	"context"
	"flag"
	"fmt"
	"os/exec"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

var (
	againstReal = flag.Bool("real", false, "run the clients against memcached instead of this server")
	withLost    = flag.Bool("lost", false, "run all clients that lose a server, some of which wait for seconds")
	withNPM     = flag.Bool("npm", false, "run the clients for Node.js too, which npm's registry has")
)

// testLimit bounds all suites together.
const testLimit = 10 * time.Minute

// TestClients runs every client against one cluster, one after the other, because
// most of them flush it.
func TestClients(t *testing.T) {
	if testing.Short() {
		t.Skip("runs other people's clients: not in a short run")
	}
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	defer cancel()
	target := startTarget(ctx, t)
	for _, s := range suites() {
		t.Run(s.name, func(t *testing.T) {
			if s.npm && !*withNPM {
				t.Skip("needs -npm")
			}
			if exec.CommandContext(ctx, s.probe[0], s.probe[1:]...).Run() != nil {
				cluster.Skip(t, "needs %s: apt-get install %s", s.name, s.debian)
			}
			folder := ""
			if s.npm {
				folder = installNPM(ctx, t)
			}
			outcomes, err := s.run(ctx, target.addrs, folder)
			if err != nil {
				t.Error(err)
			}
			report(t, s.name, s.checks, target.judge(ctx, t, s, outcomes))
		})
	}
	t.Run("gomemcache", func(t *testing.T) { report(t, "gomemcache", gomemcacheChecks, gomemcache(target.addrs)) })
}

// report prints the summary of a suite. It fails the test for each check that failed,
// and if there were fewer or more checks than expected.
func report(t *testing.T, name string, checks int, outcomes []outcome) {
	t.Helper()
	failed := 0
	for _, o := range outcomes {
		if !o.passed {
			failed++
			t.Errorf("%s fails", o.check)
		}
	}
	if len(outcomes) != checks {
		t.Errorf("%d checks, want %d", len(outcomes), checks)
	}
	fmt.Printf("%s: %d passed, %d failed\n", name, len(outcomes)-failed, failed)
}

// target is what the clients talk to.
type target struct {
	addrs []string           // three: of three servers, or of one memcached
	real  *cluster.Memcached // the same memcached, or nil
}

func startTarget(ctx context.Context, t *testing.T) *target {
	t.Helper()
	if *againstReal {
		m := startMemcached(ctx, t)
		return &target{addrs: []string{m.Addr, m.Addr, m.Addr}, real: m}
	}
	dir := t.TempDir()
	executable, err := cluster.Build(ctx, dir, "./cmd/raftcached")
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Start(ctx, cluster.Options{
		Executable: executable, Dir: dir, Servers: 3, Settings: map[string]any{"requestTimeoutMs": 20_000}, // leadership may move
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range c.Servers {
			if t.Failed() {
				t.Logf("server %d logged:\n%s", s.ID, s.LogTail())
			}
		}
	})
	return &target{addrs: c.ClientAddrs()}
}

func startMemcached(ctx context.Context, t *testing.T) *cluster.Memcached {
	t.Helper()
	cluster.NeedMemcached(t)
	m, err := cluster.StartMemcached(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.Close(); err != nil {
			t.Error(err)
		}
	})
	return m
}

// judge passes the checks that memcached is expected to fail, if it does fail them.
// An older memcached is not run: it may pass them.
func (g *target) judge(ctx context.Context, t *testing.T, s suite, outcomes []outcome) []outcome {
	t.Helper()
	forgivable := map[string]bool{}
	for _, o := range outcomes {
		if !o.passed && expectedToFail(s.name, o.check) {
			forgivable[o.check] = true
		}
	}
	if len(forgivable) == 0 {
		return outcomes
	}
	reference := g.real
	if reference == nil {
		reference = startMemcached(ctx, t)
	}
	failsThere := forgivable
	if !reference.Older() {
		failsThere = failures(ctx, t, s, reference.Addr)
	}
	for i, o := range outcomes {
		if forgivable[o.check] {
			outcomes[i].passed = failsThere[o.check]
		}
	}
	return outcomes
}

// failures returns the checks of a suite that the server at addr fails.
func failures(ctx context.Context, t *testing.T, s suite, addr string) map[string]bool {
	t.Helper()
	outcomes, err := s.run(ctx, []string{addr, addr, addr}, "")
	if err != nil {
		t.Error(err)
	}
	failed := map[string]bool{}
	for _, o := range outcomes {
		failed[o.check] = !o.passed
	}
	return failed
}

func TestParse(t *testing.T) {
	got := parseCapable("ascii set noreply      [pass]\nascii delete           ascii incr           [pass]\nbinary stat           [pass]\n")
	want := []outcome{{"ascii set noreply", true}, {"ascii delete", false}, {"ascii incr", true}, {"binary stat", true}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("memccapable: %v, want %v", got, want)
	}
	got = parseScript("ok set\nnot ok gat\nsome warning\n")
	want = []outcome{{"set", true}, {"gat", false}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("script: %v, want %v", got, want)
	}
}
