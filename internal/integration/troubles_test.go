package integration

import (
	"context"
	"slices"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/cluster"
)

// trouble is what is done to a server for some time, and how it is undone.
type trouble struct {
	name  string
	begin func(l *lasting, s *cluster.Server, d time.Duration) error
	end   func(l *lasting, s *cluster.Server) error
}

var troubles = []trouble{
	{
		"kill -9 of", func(l *lasting, s *cluster.Server, d time.Duration) error { return l.servers.kill(s.ID, d) },
		func(*lasting, *cluster.Server) error { return nil }, // the supervisor starts it
	},
	{
		"SIGSTOP of", func(_ *lasting, s *cluster.Server, _ time.Duration) error { return s.Pause() },
		func(_ *lasting, s *cluster.Server) error { return s.Resume() },
	},
	{"isolate", func(l *lasting, s *cluster.Server, _ time.Duration) error { l.c.Isolate(s.ID); return nil }, mended},
	{"lose what is sent by", func(l *lasting, s *cluster.Server, _ time.Duration) error {
		for _, other := range followersOf(l.c, s) {
			l.c.Cut(s.ID, other.ID)
		}
		return nil
	}, mended},
	{"lose what is sent to", func(l *lasting, s *cluster.Server, _ time.Duration) error {
		for _, other := range followersOf(l.c, s) {
			l.c.Cut(other.ID, s.ID)
		}
		return nil
	}, mended},
	{"lose one link of", func(l *lasting, s *cluster.Server, _ time.Duration) error {
		other := l.otherThan(s)
		l.c.Cut(s.ID, other.ID)
		l.c.Cut(other.ID, s.ID)
		return nil
	}, mended},
}

func mended(l *lasting, _ *cluster.Server) error {
	l.c.Mend()
	return nil
}

// transferMax bounds how long a server is asked to move leadership: it may stand still.
const transferMax = 3 * time.Second

// askTransfer asks a server to move leadership to another one, -1 for any. It may be
// refused, or fail: it is asked in trouble, too.
func (l *lasting) askTransfer(ctx context.Context, asked, to int) {
	ctx, cancel := context.WithTimeout(ctx, transferMax)
	defer cancel()
	r := &admin.MemberRequest{ID: &to}
	if to < 0 {
		r.ID = nil
	}
	if _, err := l.client.Operate(ctx, l.c.Servers[asked].AdminAddr, admin.MemberTransfer, r); err != nil {
		l.t.Logf("transfer: %v", err)
	}
}

// drawChange draws a change of the members, and notes who is a member then.
func (l *lasting) drawChange() *memberStep {
	expected := l.plan.expected
	kinds := []string{planAdd, planReplaceDead, planReplaceAlive, planReplaceEmpty}
	if len(expected) > lastingVoters {
		kinds = []string{planRemove, planRemove, planRemove, planReplaceDead, planReplaceAlive}
	}
	s := &memberStep{
		what: kinds[l.random.IntN(len(kinds))], server: expected[l.random.IntN(len(expected))],
		asked: expected[l.random.IntN(len(expected))],
	}
	for s.what == planRemove && len(expected)-len(l.plan.replicas) == lastingVoters && !slices.Contains(l.plan.replicas, s.server) {
		s.server = expected[l.random.IntN(len(expected))] // too few votes would be left
	}
	switch s.what {
	case planAdd:
		for slices.Contains(expected, s.server) {
			s.server = l.random.IntN(lastingSlots)
		}
		if s.replica = l.random.IntN(2) == 0; s.replica {
			l.plan.replicas = append(l.plan.replicas, s.server)
		}
		l.plan.expected = append(l.plan.expected, s.server)
	case planRemove:
		gone := func(id int) bool { return id == s.server }
		l.plan.expected, l.plan.replicas = slices.DeleteFunc(slices.Clone(expected), gone), slices.DeleteFunc(l.plan.replicas, gone)
	}
	if l.random.IntN(3) > 0 {
		s.kill = (&planner{l.plan, l.random}).drawKill(s.what)
	}
	return s
}
