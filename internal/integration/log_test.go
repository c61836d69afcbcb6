package integration

import (
	"fmt"
	"os"
	"regexp"
	"testing"

	"raftcached/internal/cluster"
)

// awaitLine waits until a server has logged a line that matches.
func awaitLine(t *testing.T, s *cluster.Server, pattern string) {
	t.Helper()
	line := regexp.MustCompile(pattern)
	must(t, cluster.Await(t.Context(), func() error {
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

// TestLogTellsTheStory: servers log for people who was lost, who leads, that there is
// no majority, and who is back, with the ids of server.json.
func TestLogTellsTheStory(t *testing.T) {
	ctx, c := startCluster(t, cluster.Options{})
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
	must(t, watcher.Start())
	must(t, c.AwaitReady(ctx))
	for _, s := range c.Servers {
		wantNoLine(t, s, `not a member of any cluster`)
	}
}
