package integration

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// lineAwaited is how long awaitLine waits at most.
const lineAwaited = time.Minute

// awaitLine waits until a server has logged a line that matches.
func awaitLine(t *testing.T, s *cluster.Server, pattern string) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	ctx, cancel := context.WithTimeout(t.Context(), lineAwaited)
	defer cancel()
	must(t, cluster.Await(ctx, func() error {
		text, err := os.ReadFile(s.LogFile)
		if err == nil && !line.Match(text) {
			err = fmt.Errorf("server %d has not logged %q", s.ID, pattern)
		}
		return err
	}))
}

// wantNoLine fails if a server has logged a line that matches.
func wantNoLine(t *testing.T, s *cluster.Server, pattern string) {
	t.Helper()
	text, err := os.ReadFile(s.LogFile)
	must(t, err)
	if line := regexp.MustCompile(pattern).Find(text); line != nil {
		t.Errorf("server %d has logged %q", s.ID, line)
	}
}

// writtenIn lets the log of a server that is stopped look as if it was written at a time.
func writtenIn(t *testing.T, s *cluster.Server, at time.Time) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(s.DataDir, "wal", "*"))
	must(t, err)
	for _, name := range names {
		must(t, os.Chtimes(name, at, at))
	}
}

// TestLogTellsTheStory: servers log for people who was lost, who leads, that there is
// no majority, and who is back, with the ids of server.json. With -v they log what they
// decide, and still no request.
func TestLogTellsTheStory(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Args: []string{"-v"}, Settings: steady()})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	followers := followersOf(c, leader)
	watcher, other := followers[0], followers[1]
	awaitLine(t, watcher, `msg="starting raftcached [^"]+" commit=\w+ go=\S+ server=\d of=3 `)
	awaitLine(t, watcher, fmt.Sprintf(`server %d leads \(term \d+\)`, leader.ID))

	if answer, err := cluster.Ask(ctx, watcher.ClientAddr, "flush_all"); err != nil || answer[0] != "OK" {
		t.Errorf("flush_all: %q, %v", answer, err)
	}
	awaitLine(t, watcher, `msg="flush_all from 127\.\d+\.\d+\.\d+:\d+"`)

	if answer, err := cluster.Ask(ctx, watcher.ClientAddr, "cache_memlimit 96"); err != nil || answer[0] != "OK" {
		t.Errorf("cache_memlimit: %q, %v", answer, err)
	}
	awaitLine(t, watcher, `msg="cache_memlimit from 127\.\d+\.\d+\.\d+:\d+" MiB=96`)

	must(t, leader.Kill())
	next, err := c.AwaitLeader(ctx)
	must(t, err)
	awaitLine(t, watcher, fmt.Sprintf(`level=WARN msg="lost server %d at 127\.\d+\.\d+\.\d+:\d+: [^;]+; 2 of 3 left"`, leader.ID))
	awaitLine(t, watcher, fmt.Sprintf(`server %d leads \(term \d+, \d+ ms without a leader\)`, next.ID))
	must(t, other.Kill())
	names := fmt.Sprintf("servers %d, %d", min(leader.ID, other.ID), max(leader.ID, other.ID))
	awaitLine(t, watcher, `level=ERROR msg="NO MAJORITY: waiting for `+names+` since \d\d:\d\d:\d\d"`)

	must(t, leader.Start())
	must(t, other.Start())
	must(t, c.AwaitReady(ctx))
	for _, s := range []*cluster.Server{leader, other} {
		awaitLine(t, watcher, fmt.Sprintf(`server %d is back after [\d.ms]+; \d of 3"`, s.ID))
	}
	awaitLine(t, watcher, `majority again after [\d.ms]+; \d of 3"`)
	must(t, watcher.Stop(ctx))
	awaitLine(t, watcher, `msg="stopping \(SIGTERM\)"`)
	writtenIn(t, watcher, time.Now().Add(time.Hour))
	must(t, watcher.Start())
	must(t, c.AwaitReady(ctx))
	awaitLine(t, watcher, `level=WARN msg="clock: it is (59m\d+|1h0m0)s before the last write of the log: set it"`)
	client := clientOf(t, watcher)
	for range 20 {
		must(t, client.Set(&memcache.Item{Key: "not-for-the-log", Value: []byte("nor this")}))
		_, err := client.Get("not-for-the-log")
		must(t, err)
	}
	awaitLine(t, watcher, `level=DEBUG msg=role state=StateFollower term=\d`)
	for _, s := range c.Servers {
		wantNoLine(t, s, `level=(INFO|WARN|ERROR).*not a member of any cluster`)
		wantNoLine(t, s, `not-for-the-log|nor this`)
	}
}
