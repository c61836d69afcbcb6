package replication

import (
	"bytes"
	"maps"
	"time"

	"raftcached/engine"
	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
)

// simOrder is the log as the cluster has agreed on it, and what some keys have in the
// state after each operation. Reads anywhere are checked against it.
//
// A read is linearizable if it shows what its key has after an operation that is not older
// than any entry that was known to be committed, by whatever node, when it began: what
// a node knows to be committed it may apply, and show or acknowledge. That is a little
// more than clients can see, so that a fault is found before they do.
//
// A read that came with a sub-batch has one place among the operations of the log: what
// its key has there is what it must show.
type simOrder struct {
	s      *simulation
	st     *state
	reader *engine.Reader
	keys   map[string][]simVersion
	index  uint64     // of the entry that is being applied
	subs   []SubBatch // those of it that are to be applied
	behind map[simPlace]*simBehind
}

// simPlace is by what a sub-batch is known in the log.
type simPlace struct{ origin, boot, tag uint64 }

// simVersion is what a key has from an operation of an entry on.
type simVersion struct {
	index uint64
	value string // "": the key is missing
	at    time.Duration
}

func newSimOrder(s *simulation, keys []string) *simOrder {
	machine := newSimMachine()
	o := &simOrder{
		s: s, reader: machine.NewReader(), keys: map[string][]simVersion{},
		st: newState(&ReplicaConfig{Formed: s.formed, Machine: machine}), behind: map[simPlace]*simBehind{},
	}
	for _, key := range keys {
		o.keys[key] = []simVersion{{}}
	}
	machine.order = o
	return o
}

// take takes entries that a node knows to be committed.
func (o *simOrder) take(n *simNode, entries []*pb.Entry) {
	if o == nil {
		return
	}
	for _, e := range entries {
		if e.GetIndex() <= o.st.index {
			continue
		}
		o.index, o.subs = e.GetIndex(), o.admitted(e)
		n.must(o.st.apply([]*pb.Entry{e}, nil, &Batch{}))
		if len(o.subs) > 0 {
			o.s.failf("%d sub-batches of entry %d were not applied", len(o.subs), o.index)
		}
	}
}

// admitted returns the sub-batches of an entry that the state machine will get.
func (o *simOrder) admitted(e *pb.Entry) (subs []SubBatch) {
	r := frame.NewReader(e.GetData())
	h, err := entryHeader(&r)
	if e.GetType() != pb.EntryNormal || err != nil { // it is empty, or the state refuses it
		return nil
	}
	t := table{maps.Clone(o.st.table.rows)}
	for range h.subBatches {
		s, err := readSubBatch(&r)
		switch {
		case err != nil:
			return subs
		case s.Origin == clusterOrigin && bytes.Equal(s.Ops, simFormation):
		case s.Origin == clusterOrigin, o.st.members.at(s.Origin) >= 0 && t.admit(&s) == verdictApply:
			subs = append(subs, s)
		}
	}
	return subs
}

// apply applies the next sub-batch of the entry, one operation after the other.
func (o *simOrder) apply(e *engine.Engine, count int, ops []byte) {
	s := &o.subs[0]
	o.subs = o.subs[1:]
	if s.Count != count || !bytes.Equal(s.Ops, ops) {
		o.s.failf("entry %d: %d operations are applied, want %d of %d", o.index, count, s.Count, s.Origin)
	}
	b := o.behind[simPlace{s.Origin, s.Boot, s.Tag}]
	b.placed(o, 0)
	for i := range count {
		_, rest, err := engine.DecodeOp(ops)
		if err != nil {
			panic(err)
		}
		e.Apply(1, ops, false)
		ops = rest
		o.note()
		b.placed(o, i+1)
	}
}

// note takes what keys have now.
func (o *simOrder) note() {
	for key, versions := range o.keys {
		if value := readValue(o.reader, key); value != versions[len(versions)-1].value {
			o.keys[key] = append(versions, simVersion{o.index, value, o.s.now})
		}
	}
}

// readValue returns a key's value, or "".
func readValue(r *engine.Reader, key string) string {
	b, _ := r.View(nil, []byte(key), func(dst, _ []byte, it engine.Item) []byte { return append(dst, it.Value...) })
	return string(b)
}

// simRead is a read of a key at a node.
type simRead struct {
	n     *simNode
	key   string
	began time.Duration
	since int // the version that it must show, or a later one
}

// begin notes what a read that begins now must show.
func (o *simOrder) begin(n *simNode, key string) *simRead {
	return &simRead{n: n, key: key, began: o.s.now, since: len(o.keys[key]) - 1}
}

// shows checks what a read shows.
func (o *simOrder) shows(r *simRead, value string) {
	versions := o.keys[r.key]
	for i := len(versions) - 1; i >= r.since; i-- {
		if versions[i].value == value {
			return
		}
	}
	v := versions[r.since]
	o.s.failf("node %d shows %s with %q, and it had %q since entry %d, known to be committed at %v, when the read began at %v (%d changes until now)",
		r.n.id, r.key, value, v.value, v.index, v.at, r.began, len(versions)-1-r.since)
}
