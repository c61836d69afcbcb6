package replication

import (
	"bytes"
	"fmt"
	"io"
	"strconv"
	"testing"
	"time"

	"raftcached/replication/disk"

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
	f, _, err := ship.open(n.store)
	if err != nil {
		return nil, false
	}
	file, err = io.ReadAll(f)
	damaged, asideErr := f.setAside()
	n.must(asideErr)
	n.must(f.Close())
	if damaged {
		n.s.note("snapshot %d of %d is damaged", f.at.index, n.id)
		n.s.stats.setAside++
		n.putApply(applyInput{kind: applyDamaged, index: f.at.index})
		return nil, false
	}
	n.must(err)
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

// damageSnapshot flips a bit of a node's newest snapshot, if it has one.
func (n *simNode) damageSnapshot() {
	list, err := n.store.List()
	n.must(err)
	if len(list) == 0 {
		return
	}
	name := fmt.Sprintf("snap/%016x-%016x.snap", list[0].GetIndex(), list[0].GetTerm())
	b, err := disk.ReadFile(n.fs, name)
	n.must(err)
	b[n.s.rng.IntN(len(b))] ^= 1 << n.s.rng.IntN(8)
	n.must(disk.WriteFileAtomic(n.fs, name, b))
}

// TestDamagedSnapshotIsReplaced: a bit is flipped in every snapshot that a node which was
// down could be sent. None of them is installed, and the node catches up by another one.
func TestDamagedSnapshotIsReplaced(t *testing.T) {
	setAside, installed := 0, 0
	for seed := range uint64(3) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) {
			s := newSimulation(t, seed, 3, 0)
			mustFindNothing(t, seed, func() {
				s.setUp()
				s.addClients(6)
				s.flooding(s.now+2*time.Second, time.Millisecond)
				victim := s.anyNode()
				victim.crash()
				s.runUntil(s.now + 2*time.Second)
				for _, n := range s.nodes {
					if n != victim {
						n.damageSnapshot()
					}
				}
				victim.start()
				s.runUntil(s.now + 3*time.Second)
				s.settle()
			})
			setAside += s.stats.setAside
			installed += s.stats.snapshotsInstalled
		})
	}
	if setAside == 0 || installed == 0 {
		t.Errorf("%d snapshots set aside, %d installed", setAside, installed)
	}
}
