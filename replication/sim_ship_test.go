package replication

import (
	"bytes"
	"io"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ship sends a snapshot to a peer. It takes its time: now and then so long that
// the peer asks again.
func (n *simNode) ship(ship Ship) {
	s := n.s
	s.check.shipBegins(n, &ship)
	s.showShip(n, &ship)
	outcome := false
	ended := n.inLife(func() {
		s.check.shipEnds(n, &ship)
		n.put(input{kind: inputShipped, peer: ship.To, forRaft: ship.Raft, ok: outcome})
	})
	end := func(ok bool) {
		outcome = ok
		s.after(s.delay(time.Millisecond), ended)
	}
	file, ok := n.readShip(&ship)
	if !ok { // it was removed meanwhile
		end(false)
		return
	}
	d := s.delay(20 * time.Millisecond)
	switch {
	case s.slowShips:
		d += time.Duration(2500+s.rng.IntN(1500)) * time.Millisecond
	case s.rng.IntN(4) == 0:
		d += time.Duration(s.rng.IntN(4000)) * time.Millisecond
	}
	s.after(d, n.inLife(func() {
		to := s.byRaft(ship.To)
		if to == nil || !to.up || !n.admittedBy(to) || s.cut[[2]int{n.id, to.id}] {
			end(false)
			return
		}
		a := &simArrival{n: to, header: ship.Header, file: file, size: int64(len(file)), result: end}
		if s.rng.IntN(20) == 0 {
			a.file = file[:s.rng.IntN(len(file))] // the connection broke
		}
		to.arrivals = append(to.arrivals, a)
		to.inLife(a.begin)()
	}))
}

func (n *simNode) readShip(ship *Ship) (file []byte, ok bool) {
	rc, _, err := ship.open(n.store)
	if err != nil {
		return nil, false
	}
	file, err = io.ReadAll(rc)
	n.must(err)
	n.must(rc.Close())
	return file, true
}

// simArrival is a snapshot that a node receives, as Replica.HandleSnapshot does.
type simArrival struct {
	n       *simNode
	header  []byte
	file    []byte
	size    int64
	arrival *arrival
	result  func(ok bool)
	over    bool
}

func (a *simArrival) begin() {
	var err error
	a.arrival, err = newArrival(a.header, a.n.s.bugs)
	a.n.must(err)
	a.next(nil)
}

func (a *simArrival) end(ok bool) {
	if !a.over {
		a.over = true
		a.result(ok)
	}
}

// next takes the outcome of a step, and does the next one.
func (a *simArrival) next(err error) {
	n := a.n
	if err != nil {
		a.end(false)
		return
	}
	switch a.arrival.next() {
	case arrivalOffer:
		n.putApply(applyInput{kind: applyOffer, reply: a.next})
	case arrivalStore:
		var failed error
		n.during(3*time.Millisecond, func() error {
			var meta *pb.SnapshotMetadata
			if meta, failed = n.store.Receive(bytes.NewReader(a.file), a.size); failed == nil {
				n.must(a.arrival.stored(meta))
			}
			return nil // a failed file is refused, whatever the reason
		})(func() { a.next(failed) })
	case arrivalPass:
		n.put(input{kind: inputStep, message: a.arrival.message})
		a.next(nil)
	case arrivalAim:
		n.putApply(applyInput{kind: applyAim, meta: a.arrival.meta})
		a.next(nil)
	case arrivalEnd:
		n.s.stats.ships++
		a.end(true)
	}
}
