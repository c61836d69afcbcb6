package integration

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/admin"
	"raftcached/internal/cluster"
)

var (
	membersRuns    = flag.Int("members.runs", membersRunsDefault, "real clusters whose members TestMembersUnderLoad changes")
	membersFirst   = flag.Uint64("members.first", 1, "seed of the first one")
	membersChanges = flag.Int("members.changes", 3, "changes of each")
)

// changeMax is how long one change may take: kills, an election and a snapshot are in it,
// and the machine may be busy.
const changeMax = 3 * time.Minute

// TestMembersUnderLoad changes the members of real clusters under load, while one of
// those that take part is killed at some step of it. porcupine finds an order of what
// clients were told, the members are those that were asked for, and all have the same
// state.
func TestMembersUnderLoad(t *testing.T) {
	t.Parallel()
	for i := range *membersRuns {
		seed := *membersFirst + uint64(i)
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			t.Parallel()
			t.Logf("repeat with: go test ./internal/integration -run '^TestMembersUnderLoad$' -members.first=%d -members.runs=1 -members.changes=%d", seed, *membersChanges)
			runPlan(t, seed, drawPlan(seed, *membersChanges))
		})
	}
}

// TestGrowAndShrink makes three and five servers of one, and three again, under load.
func TestGrowAndShrink(t *testing.T) {
	t.Parallel()
	runPlan(t, 1, growAndShrink())
}

// memberRun carries out a plan.
type memberRun struct {
	t       *testing.T
	ctx     context.Context
	c       *cluster.Cluster
	plan    *memberPlan
	servers *supervisor
	client  admin.Client
	kills   sync.WaitGroup

	mu     sync.Mutex
	newest *admin.MemberList // that any server has told
}

// begin starts every server again that ends, until the test does.
func (r *memberRun) begin(cancel context.CancelFunc) {
	r.t.Cleanup(func() {
		cancel()
		r.kills.Wait()
		<-r.servers.stopped
		r.client.Close()
	})
	for _, s := range r.c.Servers {
		r.servers.care(s)
	}
}

// runPlan changes the members of a cluster as planned, and checks what comes of it.
func runPlan(t *testing.T, seed uint64, plan *memberPlan) {
	t.Logf("plan: %v", plan)
	ctx, c := startCluster(t, cluster.Options{Servers: plan.servers, Args: plan.flags(), Settings: impatient()})
	ctx, cancel := context.WithCancel(ctx)
	r := &memberRun{t: t, ctx: ctx, c: c, plan: plan, servers: supervise(ctx)}
	r.begin(cancel)
	for range plan.added {
		c.Add(plan.flags()...)
	}
	r.fill()
	h := &history{start: time.Now(), seed: seed, keys: 3 * keys}
	stop := h.driveAll(t, c.ClientAddrs())
	defer stop()
	h.awaitOperations(t, 50)
	for i, step := range plan.steps {
		begun := time.Now()
		if err := r.both(step); err != nil {
			t.Fatalf("%d. %v: %v\nmembers: %+v", i+1, step, errors.Join(append(r.servers.fault(), err)...), r.members())
		}
		t.Logf("%d. took %v", i+1, time.Since(begun).Round(time.Millisecond))
	}
	r.kills.Wait()
	must(t, r.awaitExpected())
	h.awaitOperations(t, 50)
	stop()
	must(t, c.AwaitEqual(ctx, plan.expected...))
	must(t, errors.Join(r.servers.fault()...))
	h.check(t)
}

// flags are those of every server.
func (p *memberPlan) flags() []string {
	return []string{"-log-retain", strconv.Itoa(p.retain), "-replace-empty"}
}

// fill stores the items that are there at first.
func (r *memberRun) fill() {
	client := clientOf(r.t, r.c.Servers[0])
	for i := range r.plan.filler {
		must(r.t, client.Set(&memcache.Item{Key: fmt.Sprintf("filler-%d", i), Value: bytes.Repeat([]byte("v"), 10<<10)}))
	}
}

// both does a step, and the one that begins at the same time.
func (r *memberRun) both(s *memberStep) error {
	ctx, cancel := context.WithTimeout(r.ctx, changeMax)
	defer cancel()
	if s.also == nil {
		return r.do(ctx, s)
	}
	other := make(chan error, 1)
	go func() { other <- r.do(ctx, s.also) }()
	return errors.Join(r.do(ctx, s), <-other)
}

// do does one step, and returns when nothing is left to do.
func (r *memberRun) do(ctx context.Context, s *memberStep) error {
	server := r.c.Servers[s.server]
	switch s.what {
	case planTransfer:
		return r.transfer(ctx, s)
	case planRemove:
		left := r.servers.leaves(s.server, "was removed from the cluster")
		if err := r.ask(ctx, s, admin.MemberRemove, func(m *admin.MemberInfo) bool { return false }); err != nil {
			return err
		}
		if err := awaitClosed(ctx, left); err != nil {
			return fmt.Errorf("it goes on after its removal: %w: %s", err, server.LogTail())
		}
		return r.servers.destroy(server)
	case planReplaceDead, planReplaceEmpty:
		if err := r.servers.destroy(server); err != nil {
			return err
		}
	}
	var err error
	switch s.what {
	case planAdd:
		err = r.ask(ctx, s, admin.MemberAdd, func(m *admin.MemberInfo) bool { return m.Folder == "" })
	case planReplaceDead:
		err = r.ask(ctx, s, admin.MemberReplace, func(m *admin.MemberInfo) bool { return m.Folder == "" || m.Retired })
	case planReplaceAlive:
		err = r.replaceAlive(ctx, s)
	}
	if err != nil {
		return err
	}
	return r.comeIn(ctx, s)
}

// replaceAlive retires the folder of a server that runs, which is told, and removes it.
func (r *memberRun) replaceAlive(ctx context.Context, s *memberStep) error {
	left := r.servers.leaves(s.server, "was retired by `raftcachectl member replace`", "was removed from the cluster")
	err := r.ask(ctx, s, admin.MemberReplace, func(m *admin.MemberInfo) bool { return m.Folder == "" || m.Retired })
	if err != nil {
		return err
	}
	if err := awaitClosed(ctx, left); err != nil {
		return fmt.Errorf("it goes on after its folder was retired: %w: %s", err, r.c.Servers[s.server].LogTail())
	}
	return r.servers.destroy(r.c.Servers[s.server])
}

// comeIn starts a server with an empty folder, as raftcachectl says, and waits until it
// has its vote.
func (r *memberRun) comeIn(ctx context.Context, s *memberStep) error {
	server := r.c.Servers[s.server]
	before := r.folders(s.server)
	var join []string
	for _, m := range r.members() {
		if m.ID != s.server && m.Folder != "" && !m.Retired {
			join = append(join, net.JoinHostPort(m.Host, strconv.Itoa(m.LogPort)))
		}
	}
	server.JoinAt(join, r.plan.flags()...)
	r.servers.care(server)
	r.moment(s, planStarted)
	if err := r.await(ctx, func() error {
		for _, folder := range r.folders(s.server) {
			if !slices.Contains(before, folder) {
				return nil
			}
		}
		return fmt.Errorf("server %d has not come in: %s", s.server, server.LogTail())
	}); err != nil {
		return err
	}
	r.moment(s, planAdmitted)
	if err := r.await(ctx, func() error {
		for _, m := range r.members() {
			if m.ID == s.server && (m.Learner && !m.Stays || m.Retired || m.Folder == "") {
				return fmt.Errorf("server %d has no vote: %s", s.server, server.LogTail())
			}
		}
		return nil
	}); err != nil {
		return err
	}
	r.moment(s, planVotes)
	return nil
}

// folders returns the folders that a server has, or had.
func (r *memberRun) folders(id int) (list []string) {
	for _, m := range r.members() {
		if m.ID == id && m.Folder != "" {
			list = append(list, m.Folder)
		}
	}
	return list
}

// transfer moves leadership. It may be refused: others change the members, or kill.
func (r *memberRun) transfer(ctx context.Context, s *memberStep) error {
	asked := make(chan error, 1)
	go func() {
		_, err := r.client.Operate(ctx, r.c.Servers[s.asked].AdminAddr, admin.MemberTransfer, &admin.MemberRequest{ID: &s.server})
		asked <- err
	}()
	r.moment(s, planAsked)
	if err := <-asked; err != nil {
		r.t.Logf("%s server %d: %v", s.what, s.server, err)
	}
	return nil
}

// ask asks for a change at one server after the other, until every member that is left
// of the server is as wanted.
func (r *memberRun) ask(ctx context.Context, s *memberStep, operation string, wanted func(*admin.MemberInfo) bool) error {
	server := r.c.Servers[s.server]
	host, port, err := net.SplitHostPort(server.ClientAddr)
	if err != nil {
		return err
	}
	request := &admin.MemberRequest{ID: &s.server}
	if operation == admin.MemberAdd {
		request.Host, request.LogPort = host, server.LogPort()
		request.Port, _ = strconv.Atoi(port)
		request.Learner = s.replica
	}
	for asked := s.asked; ; asked = r.nextAfter(asked) {
		answer := make(chan error, 1)
		go func() {
			_, err := r.client.Operate(ctx, r.c.Servers[asked].AdminAddr, operation, request)
			answer <- err
		}()
		r.moment(s, planAsked)
		err := <-answer
		if r.isMade(s, operation, wanted) {
			r.moment(s, planAgreed)
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s server %d: %w", operation, s.server, errors.Join(err, ctx.Err()))
		case <-time.After(20 * time.Millisecond): // a second server would refuse it as quickly as the first
		}
	}
}

// isMade reports whether a change shows in the members.
func (r *memberRun) isMade(s *memberStep, operation string, wanted func(*admin.MemberInfo) bool) bool {
	members, found := r.members(), false
	for i := range members {
		if m := &members[i]; m.ID == s.server {
			found = true
			if !wanted(m) {
				return false
			}
		}
	}
	return len(members) > 0 && found == (operation != admin.MemberRemove)
}

// nextAfter returns the member after one, by id.
func (r *memberRun) nextAfter(id int) int {
	var ids []int
	for _, m := range r.members() {
		if m.Folder != "" {
			ids = append(ids, m.ID)
		}
	}
	for _, next := range ids {
		if next > id {
			return next
		}
	}
	if len(ids) == 0 {
		return id
	}
	return ids[0]
}
