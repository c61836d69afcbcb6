package node

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"raftcached/replication"
	"raftcached/replication/peer"
)

const (
	// narratePeriod is how often the connections to the other servers are looked at.
	narratePeriod = 100 * time.Millisecond

	// lostAfter is how long a server must be out of reach until that is logged: a
	// connection that is made anew at once is no news.
	lostAfter = 300 * time.Millisecond

	// meetAfter is how long servers that start may take to find each other.
	meetAfter = 3 * time.Second

	// leadersKept is of how many leaders is known when they came.
	leadersKept = 64

	// progressPeriod is how often is logged how much of the log was read.
	progressPeriod = time.Second
)

// narrator logs for people what happens to the cluster, as this node sees it: a line
// when something changes, with the ids of server.json.
type narrator struct {
	node *Node

	mu         sync.Mutex
	leader     uint64 // raft id of the last one that was known, or 0
	term       uint64
	leaderless time.Time // since when none is known; zero if one is

	changes    atomic.Uint64          // leaders that have come
	came       [leadersKept]time.Time // when the last ones have, by the count of changes
	lost       map[int]time.Time      // since when, by server id
	noMajority time.Time              // since when, zero if there is one
}

// statusChanged is called on the raft loop.
func (r *narrator) statusChanged(s replication.Status) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	switch {
	case s.Leader == 0 && r.leaderless.IsZero():
		r.leaderless = now
		if r.leader != 0 {
			r.node.cfg.Logger.Debug(fmt.Sprintf("no leader is known, the last one was server %d", r.node.serverID(r.leader)))
		}
	case s.Leader != 0 && (s.Leader != r.leader || s.Term != r.term || !r.leaderless.IsZero()):
		without := ""
		if r.leader != 0 && !r.leaderless.IsZero() {
			since := r.leaderless
			if t := r.node.transport; t != nil {
				if s := t.Sight(r.leader); !s.Connected && !s.Since.IsZero() && s.Since.Before(since) {
					since = s.Since // it was gone before raft noticed
				}
			}
			without = fmt.Sprintf(", %d ms without a leader", now.Sub(since).Milliseconds())
		}
		r.node.cfg.Logger.Info(fmt.Sprintf("server %d leads (term %d%s)", r.node.serverID(s.Leader), s.Term, without))
		r.leader, r.term, r.leaderless = s.Leader, s.Term, time.Time{}
		r.came[r.changes.Load()%leadersKept] = now
		r.changes.Add(1)
	}
}

// leadersSince returns how many leaders have come since a time, leadersKept at most.
func (r *narrator) leadersSince(t time.Time) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, came := range r.came {
		if came.After(t) {
			n++
		}
	}
	return n
}

// watchPeers logs which servers are lost and back until the node stops.
func (r *narrator) watchPeers() {
	if r.node.transport == nil {
		return
	}
	ticker := time.NewTicker(narratePeriod)
	defer ticker.Stop()
	for {
		select {
		case <-r.node.done:
			return
		case now := <-ticker.C:
			if !r.node.life.stopping.Load() {
				r.look(now)
			}
		}
	}
}

// look compares the connections with what was logged last.
func (r *narrator) look(now time.Time) {
	n := r.node
	servers := n.places()
	var away, gone, back []int
	sights := map[int]peer.Sight{}
	for _, m := range servers {
		if n.isSelf(&m.Member) || m.RaftID == 0 {
			continue
		}
		s := n.transport.Sight(m.RaftID)
		sights[m.ServerID] = s
		_, wasLost := r.lost[m.ServerID]
		switch {
		case s.Connected && wasLost:
			back = append(back, m.ServerID)
		case !s.Connected && wasLost:
			away = append(away, m.ServerID)
		case s.Since.IsZero(): // it is a member since a moment ago
		case !s.Connected && now.Sub(s.Since) > lostAfter && now.Sub(n.life.since) > meetAfter:
			gone, away = append(gone, m.ServerID), append(away, m.ServerID)
		}
	}
	maps.DeleteFunc(r.lost, func(id int, _ time.Time) bool { _, is := sights[id]; return !is }) // removed meanwhile
	present := len(sights) + 1
	up := fmt.Sprintf("%d of %d", present-len(away), present)
	left := up + " left"
	for _, id := range gone {
		r.lost[id] = sights[id].Since
		n.cfg.Logger.Warn(fmt.Sprintf("lost server %d at %s: %s; %s", id, n.logAddr(id), sights[id].Why, left))
	}
	for _, id := range back {
		n.cfg.Logger.Info(fmt.Sprintf("server %d is back after %v; %s", id, roundTime(now.Sub(r.lost[id])), up))
		delete(r.lost, id)
	}
	r.lookForMajority(now, servers, away, up)
}

// lookForMajority logs when so many voters are away that nothing can be committed.
func (r *narrator) lookForMajority(now time.Time, servers []place, away []int, up string) {
	var votes, missing int
	var names []int
	for _, s := range servers {
		if s.Replaced { // the vote of the folder that is retired
			votes, missing = votes+1, missing+1
		}
		if s.votes() {
			votes++
			if slices.Contains(away, s.ServerID) {
				missing, names = missing+1, append(names, s.ServerID)
			}
		}
	}
	switch has := votes-missing >= votes/2+1; {
	case !has && r.noMajority.IsZero():
		r.noMajority = now
		r.node.cfg.Logger.Error(fmt.Sprintf("NO MAJORITY: waiting for %s since %s", serverNames(names), now.Format(time.TimeOnly)))
	case has && !r.noMajority.IsZero():
		r.node.cfg.Logger.Info(fmt.Sprintf("majority again after %v; %s", roundTime(now.Sub(r.noMajority)), up))
		r.noMajority = time.Time{}
	}
}

// serverNames writes "server 1" or "servers 1, 2".
func serverNames(ids []int) string {
	words := make([]string, len(ids))
	for i, id := range ids {
		words[i] = strconv.Itoa(id)
	}
	if len(ids) == 1 {
		return "server " + words[0]
	}
	return "servers " + strings.Join(words, ", ")
}

// roundTime leaves what people read of a time.
func roundTime(d time.Duration) time.Duration {
	if d > 10*time.Second {
		return d.Round(time.Second)
	}
	return d.Round(100 * time.Millisecond)
}

// readingLog returns a function that logs how much of the log was read, every second
// or so.
func (n *Node) readingLog() func(done, total int64) {
	last := time.Now()
	return func(done, total int64) {
		n.life.logRead.Store(done)
		n.life.logTotal.Store(total)
		if now := time.Now(); now.Sub(last) >= progressPeriod {
			last = now
			n.cfg.Logger.Info(fmt.Sprintf("reading log %d of %d MiB", done>>20, total>>20))
		}
	}
}
