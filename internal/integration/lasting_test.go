package integration

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"raftcached/internal/cluster"
)

// lasting is a cluster that lives through one trouble after the other.
type lasting struct {
	*memberRun
	totals *historyTotals
	random *rand.Rand
	seen   map[*cluster.Process]readCounts
}

// readCounts are reads of one process, by how it has answered them.
type readCounts struct{ leased, waited, confirmed, behind int }

// lastingSlots is how many servers there are, members or not; lastingVoters is how many
// of them have a vote at first, and at least.
const (
	lastingSlots  = 5
	lastingVoters = 3
)

// newLasting starts a cluster that lasts as long as the test.
func newLasting(t *testing.T, totals *historyTotals, settings map[string]any) *lasting {
	t.Helper()
	plan := &memberPlan{servers: lastingVoters, retain: 1, expected: []int{0, 1, 2}}
	maps.Copy(settings, impatient())
	_, c := startCluster(t, cluster.Options{Servers: plan.servers, Network: true, Args: plan.flags(), Settings: settings})
	ctx, cancel := context.WithCancel(t.Context())
	l := &lasting{
		memberRun: &memberRun{t: t, ctx: ctx, c: c, plan: plan, servers: supervise(ctx)},
		totals:    totals, random: rand.New(rand.NewPCG(rand.Uint64(), 0)), seen: map[*cluster.Process]readCounts{},
	}
	l.begin(cancel)
	for len(c.Servers) < lastingSlots {
		c.Add(plan.flags()...)
	}
	return l
}

func (l *lasting) within(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(l.ctx, d)
}

// addrs returns where clients reach the members.
func (l *lasting) addrs() (addrs []string) {
	for _, id := range l.plan.expected {
		addrs = append(addrs, l.c.Servers[id].ClientAddr)
	}
	return addrs
}

// awaitServing waits until all members run and serve.
func (l *lasting) awaitServing(ctx context.Context) error {
	for _, id := range l.plan.expected {
		s := l.c.Servers[id]
		if err := l.await(ctx, func() error {
			if !s.Running() { // until the supervisor starts it
				return fmt.Errorf("server %d is down", id)
			}
			return nil
		}); err != nil {
			return err
		}
		if err := s.AwaitReady(ctx); err != nil {
			return err
		}
	}
	return nil
}

// sample adds what servers have counted since they were asked last. What one has counted
// before it is killed, and after that, is missing.
func (l *lasting) sample(ctx context.Context, t *testing.T) {
	t.Helper()
	for _, id := range l.plan.expected {
		s := l.c.Servers[id]
		process := s.Process()
		var stats map[string]string
		must(t, cluster.Await(ctx, func() (err error) {
			stats, err = cluster.Stats(ctx, s.ClientAddr, "")
			return err
		}))
		now, last := readCounts{statOf(t, stats, "reads_leased"), statOf(t, stats, "reads_waited"), statOf(t, stats, "reads_confirmed"), statOf(t, stats, "reads_behind_writes")}, l.seen[process]
		l.seen[process] = now
		l.totals.add(func() {
			l.totals.leased += now.leased - last.leased
			l.totals.waited += now.waited - last.waited
			l.totals.confirmed += now.confirmed - last.confirmed
			l.totals.behind += now.behind - last.behind
		})
	}
}

// disturb draws a trouble, makes it and waits until it is over. It returns what it was.
func (l *lasting) disturb(ctx context.Context, t *testing.T) string {
	t.Helper()
	switch l.random.IntN(8) {
	case 0:
		return l.transferLeadership(ctx, t)
	case 1:
		return l.changeMembers(t)
	}
	leader, err := l.c.AwaitLeader(ctx)
	must(t, err)
	victims, whom := l.victims(leader)
	what := &troubles[l.random.IntN(len(troubles))]
	var asked sync.WaitGroup
	text := what.name + whom
	if l.random.IntN(6) == 0 {
		text += " while leadership is transferred"
		asked.Go(func() { l.askTransfer(ctx, leader.ID, -1) })
	}
	l.endure(ctx, t, what, victims)
	asked.Wait()
	return text
}

// victims draws whom a trouble is for.
func (l *lasting) victims(leader *cluster.Server) (victims []*cluster.Server, whom string) {
	other := l.otherThan(leader)
	switch l.random.IntN(4) {
	case 0:
		return []*cluster.Server{other}, " a holder"
	case 1:
		return []*cluster.Server{leader, other}, " the leader and a holder"
	}
	return []*cluster.Server{leader}, " the leader"
}

// otherThan draws one of the other members.
func (l *lasting) otherThan(s *cluster.Server) *cluster.Server {
	others := slices.DeleteFunc(slices.Clone(l.plan.expected), func(id int) bool { return id == s.ID })
	return l.c.Servers[others[l.random.IntN(len(others))]]
}

// endure makes a trouble that lasts 0.1 s to -histories.trouble, which it comes close to
// in one of eight times.
func (l *lasting) endure(ctx context.Context, t *testing.T, what *trouble, victims []*cluster.Server) {
	t.Helper()
	const shortest = 100 * time.Millisecond
	longest := []time.Duration{200 * time.Millisecond, 300 * time.Millisecond, 500 * time.Millisecond, time.Second}[l.random.IntN(4)]
	if l.random.IntN(8) == 0 {
		longest = *historiesTrouble
	}
	d := shortest + time.Duration(l.random.Int64N(int64(longest-shortest)))
	for _, v := range victims {
		must(t, what.begin(l, v, d))
	}
	lasts := time.NewTimer(d) // that is what was drawn: nothing is awaited
	defer lasts.Stop()
	select {
	case <-lasts.C:
	case <-ctx.Done():
	}
	for _, v := range victims {
		must(t, what.end(l, v))
	}
}

// transferLeadership moves leadership to another voter.
func (l *lasting) transferLeadership(ctx context.Context, t *testing.T) string {
	t.Helper()
	leader, err := l.c.AwaitLeader(ctx)
	must(t, err)
	to := l.otherThan(leader).ID
	if slices.Contains(l.plan.replicas, to) {
		to = -1
	}
	l.askTransfer(ctx, leader.ID, to)
	return "transfer leadership"
}

// changeMembers makes one change, while somebody is killed in most cases.
func (l *lasting) changeMembers(t *testing.T) string {
	t.Helper()
	s := l.drawChange()
	t.Logf("members %v, of which %v have no vote: %v", l.plan.expected, l.plan.replicas, s)
	text := strings.TrimSuffix(s.what, ",")
	if s.replica {
		text += " a replica"
	}
	if s.kill != nil {
		text += " while somebody is killed"
	}
	if err := l.both(s); err != nil {
		t.Fatalf("%v: %v\nmembers: %+v", s, err, l.members())
	}
	l.kills.Wait()
	must(t, l.awaitExpected())
	return text
}
