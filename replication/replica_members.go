package replication

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
)

// Members returns who belongs to the cluster, as this node has applied it. It is
// never changed: a later call may return another one.
func (r *Replica) Members() *Membership { return r.members.Load() }

// changeWaiters are those who have asked for a change of the members, by its ID.
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
func (w *changeWaiters) tell(o ChangeOutcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if told := w.told[o.ID]; told != nil {
		told <- o.Err
		delete(w.told, o.ID)
	}
}

// Change changes the members, if this node leads, and returns when this node has
// applied the change. An error tells why there is none; that of ctx leaves open
// whether there is one, which Members shows in the end.
func (r *Replica) Change(ctx context.Context, c MemberChange) error {
	id, told := r.changes.add()
	defer r.changes.remove(id)
	c.ID = id
	r.in.put(input{kind: inputChange, change: &c})
	select {
	case err := <-told:
		return err
	case <-r.ctx.Done():
		return r.Err()
	case <-ctx.Done():
		return fmt.Errorf("wait for the change of the members: %w", ctx.Err())
	}
}

func (r *Replica) setMembers(m *Membership) {
	r.members.Store(m)
	if r.cfg.Follow != nil {
		r.cfg.Follow(m)
	}
}

// publishMembers makes known what has changed.
func (r *Replica) publishMembers(eff *Effects) {
	if eff.Members != nil {
		r.setMembers(eff.Members)
	}
	for _, o := range eff.Outcomes {
		r.changes.tell(o)
	}
}
