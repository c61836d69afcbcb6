package integration

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

const (
	// testLimit bounds how long one test waits for anything.
	testLimit = 4 * time.Minute

	// requestPatience is the servers' request timeout, if a test sets no other one: on a
	// busy machine servers elect a leader at any time, more than once.
	requestPatience = 20 * time.Second

	// clientTimeout is above it, so that a client sees the server's answer and not its own
	// timeout.
	clientTimeout = requestPatience * 3 / 2
)

// impatient are settings of servers that answer after 2 s what they cannot know, as they
// do by default. It is for tests that have them do so.
func impatient() map[string]any { return map[string]any{"requestTimeoutMs": 2000} }

// steady are settings with which leadership does not move on a busy machine, as long as
// nobody moves it, or kills.
func steady() map[string]any { return map[string]any{"electionTicks": 100} }

// executable is the raftcached program that TestMain built.
var executable string

func TestMain(m *testing.M) { os.Exit(runTests(m)) }

// parallelMin is how many tests run at a time, at least: they wait for others' disks,
// elections and timeouts most of the time, whatever the number of cores.
const parallelMin = 4

// notRaced are tests in which the race detector finds nothing that others do not have: of
// starts, damaged folders, full disks, and answers. A short run under it leaves them out.
const notRaced = "Memcached|Stats(Names|Count)|AbsentStats|WrongStarts|Check$|BothVersions|FreshLog|LittleAddress|Systemd|Damage|Harmed|HarmWhile|OlderCopy|" +
	"EndOfLog|LogRemoved|Recover$|LowDisks|FullDisk|FillsItsDisk|TimesToLive|Netcat|Pymemcache|ProgramsThat|AnswersTake|UnfinishedLines|" +
	"PrometheusExporter|HistoriesFind|AnotherListOfServers|OpenSSL|Passwords|" +
	"GatsOfMissing|ImportWithTLS|Tutorial|Operate$|GuidesAre|Guides$|Eviction"

// long has tests run that take long, of what shorter ones look at too, each in one package.
var long = flag.Bool("long", false, "run the tests that take long too")

// takesLong skips a test without -long.
func takesLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("needs -long: run make long")
	}
}

func runTests(m *testing.M) int {
	flag.Parse()
	if skip := flag.Lookup("test.skip"); underRace && testing.Short() && skip.Value.String() == "" {
		_ = skip.Value.Set(notRaced) // it takes any text
	}
	if n := flag.Lookup("test.parallel"); n.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) && runtime.GOMAXPROCS(0) < parallelMin {
		_ = n.Value.Set(strconv.Itoa(parallelMin)) // it is a number
	}
	dir, err := os.MkdirTemp("", "raftcached")
	if err == nil {
		defer func() { _ = os.RemoveAll(dir) }() // the system cleans up its temporary folder
		executable, err = cluster.Build(context.Background(), dir, "./cmd/raftcached", buildFlags...)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// startCluster starts three servers and waits until all of them serve. When the test
// ends it stops them and, if the test has failed, prints their logs.
func startCluster(t *testing.T, o cluster.Options) (context.Context, *cluster.Cluster) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	o.Executable, o.Dir = cmp.Or(o.Executable, executable), t.TempDir()
	settings := map[string]any{"requestTimeoutMs": requestPatience.Milliseconds()}
	maps.Copy(settings, o.Settings)
	o.Settings = settings
	if o.Servers == 0 {
		o.Servers = 3
	}
	c, err := cluster.Start(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		for _, s := range c.Servers {
			if report := s.Race(); report != "" {
				t.Errorf("server %d has a data race:%s", s.ID, report)
			}
			if t.Failed() {
				t.Logf("server %d logged:\n%s", s.ID, s.LogTail())
			}
		}
	})
	return ctx, c
}

// clientOf returns a client of one server.
func clientOf(t *testing.T, s *cluster.Server) *memcache.Client {
	t.Helper()
	client := memcache.New(s.ClientAddr)
	client.Timeout = clientTimeout
	client.MaxIdleConns = 16
	t.Cleanup(func() { must(t, client.Close()) })
	return client
}

// clientsOf returns a client of each server.
func clientsOf(t *testing.T, c *cluster.Cluster) []*memcache.Client {
	t.Helper()
	var clients []*memcache.Client
	for _, s := range c.Servers {
		clients = append(clients, clientOf(t, s))
	}
	return clients
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// wantEverywhere reads a key at every server. Reads are linearizable: what one client
// has seen, all clients see immediately.
func wantEverywhere(t *testing.T, clients []*memcache.Client, key, want string) {
	t.Helper()
	for id, client := range clients {
		item, err := client.Get(key)
		if err != nil {
			t.Errorf("get %q at server %d: %v, want %q", key, id, err, want)
		} else if string(item.Value) != want {
			t.Errorf("get %q at server %d: %q, want %q", key, id, item.Value, want)
		}
	}
}

func wantMissEverywhere(t *testing.T, clients []*memcache.Client, key string) {
	t.Helper()
	for id, client := range clients {
		if _, err := client.Get(key); !errors.Is(err, memcache.ErrCacheMiss) {
			t.Errorf("get %q at server %d: %v, want a miss", key, id, err)
		}
	}
}

// followersOf returns the servers besides the leader.
func followersOf(c *cluster.Cluster, leader *cluster.Server) []*cluster.Server {
	var followers []*cluster.Server
	for _, s := range c.Servers {
		if s != leader {
			followers = append(followers, s)
		}
	}
	return followers
}

// needProgram returns the path of a program, or skips the test. With
// TEST_RAFTCACHED_REQUIRE=1, as in CI, it fails the test instead.
func needProgram(t *testing.T, name, debianPackage string) string {
	t.Helper()
	file, err := exec.LookPath(name)
	if err != nil {
		skip(t, "needs %s: apt-get install %s", name, debianPackage)
	}
	return file
}

func skip(t *testing.T, format string, args ...any) {
	t.Helper()
	cluster.Skip(t, format, args...)
}

// isServerError reports whether an error is a SERVER_ERROR line of the server, which
// gomemcache returns as an unexpected line.
func isServerError(err error) bool {
	return err != nil && strings.Contains(err.Error(), "SERVER_ERROR")
}
