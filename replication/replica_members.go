package replication

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
)

// Members returns who belongs to the cluster, as this node has applied it. It is
// never changed: a later call may return another one.
func (r *Replica) Members() *Membership { return r.members.Load() }

// changeWaiters are those who have asked for a change of the members, or to move
// leadership, by ID.
type changeWaiters struct {
	mu   sync.Mutex
	told map[uint64]chan error // each of capacity 1
}

// add registers a waiter, under an ID that nobody else has.
func (w *changeWaiters) add() (id uint64, told chan error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.told == nil {
		w.told = make(map[uint64]chan error)
	}
	for id == 0 || w.told[id] != nil {
		id = rand.Uint64()
	}
	told = make(chan error, 1)
	w.told[id] = told
	return id, told
}

func (w *changeWaiters) remove(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.told, id)
}

// tell passes on an outcome. Nobody may wait for it: it is of another node, or came
// too late.
func (w *changeWaiters) tell(o Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if told := w.told[o.ID]; told != nil {
		told <- o.Err
		delete(w.told, o.ID)
	}
}

// Change changes the members, whoever leads, and returns when this node has applied
// the change. The change is of the members as this node knows them; if others change
// meanwhile, but not the server that it is about, it is made all the same. It is never
// made twice. An error tells why there is none, except that ctx's and that of a node
// which has fetched a snapshot leave open whether there is one: Members shows it.
func (r *Replica) Change(ctx context.Context, c MemberChange) error {
	return r.askLeader(ctx, "the change of the members", func(id uint64) input {
		c.ID = id
		return input{kind: inputChange, change: &c}
	})
}

// Transfer moves leadership to a server with a vote, or with AnyServer to the most
// advanced one but the leader, and returns when it leads. An error tells why it does
// not; that of ctx leaves open whether it will.
func (r *Replica) Transfer(ctx context.Context, serverID int) error {
	return r.askLeader(ctx, "the transfer of leadership", func(id uint64) input {
		return input{kind: inputTransfer, tag: id, n: serverID}
	})
}

// askLeader puts a question under an ID of its own, and waits for the outcome.
func (r *Replica) askLeader(ctx context.Context, what string, question func(id uint64) input) error {
	id, told := r.changes.add()
	defer r.changes.remove(id)
	r.in.put(question(id))
	select {
	case err := <-told:
		return err
	case <-r.ctx.Done():
		return r.Err()
	case <-ctx.Done():
		r.in.put(input{kind: inputForget, tag: id})
		return fmt.Errorf("wait for %s: %w", what, ctx.Err())
	}
}

func (r *Replica) setMembers(m *Membership) {
	r.members.Store(m) // first: who follows looks at it
	if r.cfg.Follow != nil {
		r.cfg.Follow(m)
	}
}

// publishMembers makes known what has changed, once the log says so durably.
func (r *Replica) publishMembers(eff *Effects) {
	news := memberNews{eff.Members, slices.Clone(eff.Outcomes)}
	if news.members == nil {
		r.tellMembers(&news)
		return
	}
	r.toLog.put(appendInput{news: &news})
}

func (r *Replica) tellMembers(news *memberNews) {
	if news.members != nil {
		r.setMembers(news.members)
	}
	for _, o := range news.outcomes {
		r.changes.tell(o)
	}
}
