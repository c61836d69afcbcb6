package replication

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"
)

var (
	// errQuarantine tells that this node's state is no good to anybody.
	errQuarantine = errors.New("the state of this node differs from that of a majority")

	// errNoRepairWanted is the verdict on a repair that comes too late.
	errNoRepairWanted = errors.New("no repair is wanted")

	// errSnapshotBusy is the verdict on a repair that comes while a snapshot is
	// written, which might have its name. It is asked for again.
	errSnapshotBusy = errors.New("a snapshot is being written")
)

// repairs is a replica's part in repairs, its own and those of peers.
type repairs struct {
	frozen atomic.Bool // as of the applier

	mu sync.Mutex
	to map[uint64]bool // peers that a snapshot is being made for, or on its way to
}

// begin reports whether a repair of a peer may begin.
func (p *repairs) begin(to uint64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.to[to] {
		return false
	}
	p.to[to] = true
	return true
}

func (p *repairs) end(to uint64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.to, to)
}

// startInQuarantine goes on with a quarantine that the last stop interrupted.
func (r *Replica) startInQuarantine() error {
	if r.cfg.Diverged == nil || len(r.cfg.Voters) == 1 {
		return nil
	}
	since, err := divergedSince(r.cfg.Diverged, r.applier.index)
	if err != nil || !since {
		return err
	}
	r.core.StartInQuarantine()
	return nil
}

// carryOutRepairs hands on what the core wants of repairs.
func (r *Replica) carryOutRepairs(eff *Effects) {
	for i := range eff.Judged {
		r.logJudgement(&eff.Judged[i])
	}
	if eff.Freeze {
		r.toApply.put(applyWork{freeze: true})
	}
	for _, p := range eff.Repairs {
		r.toApply.put(applyWork{serve: &p})
	}
}

func (r *Replica) logJudgement(j *Judgement) {
	var digests []any
	for _, d := range j.Digests {
		digests = append(digests, slog.String(fmt.Sprint(d.Voter), fmt.Sprintf("%016x-%016x", d.Contents, d.Order)))
	}
	switch j.Verdict {
	case VerdictOK:
		r.log.Info("the state is that of a majority again")
	case VerdictRepairing:
		r.log.Error("the state differs from that of a majority: serving nobody until it is fetched anew",
			"index", j.Index, slog.Group("digests", digests...))
	case VerdictNoMajority:
		r.log.Error("the states of the servers differ, and none has a majority: refusing writes",
			"index", j.Index, slog.Group("digests", digests...))
	}
}

// applyOne does one piece of the applier's work.
func (r *Replica) applyOne(w applyWork, batch *Batch) error {
	switch {
	case w.snapshot != nil:
		w.installed <- r.applier.Install(r.cfg.Snapshots, w.snapshot, batch)
	case w.freeze:
		r.freeze(batch)
	case w.repair != nil:
		r.applier.Aim(w.repair, batch)
	case w.serve != nil:
		r.serveRepair(w.serve)
	case w.entries != nil:
		if err := r.applier.Apply(w.entries, batch); err != nil {
			return err
		}
	}
	if meta := r.applier.RepairDue(); meta != nil {
		if err := r.repair(meta, batch); err != nil {
			return err
		}
	}
	r.repairs.frozen.Store(r.applier.frozen != nil)
	return nil
}

// freeze freezes the state and writes its image. Nobody is served meanwhile, and
// nothing applied. The repair does not depend on it.
func (r *Replica) freeze(batch *Batch) {
	r.snapshots.abandon()
	image := r.applier.Freeze(batch)
	if image == nil {
		return
	}
	if r.cfg.Diverged == nil {
		image.drain()
		return
	}
	if err := keepDiverged(r.cfg.Diverged, image); err != nil {
		r.log.Error("cannot keep the diverged state for inspection", "err", err)
		return
	}
	r.log.Info("kept the diverged state for inspection", "index", image.Index)
}

// repair replaces the frozen state by a snapshot. The node's own ones are older,
// and may hold what diverged.
func (r *Replica) repair(meta *pb.SnapshotMetadata, batch *Batch) error {
	err := r.applier.Install(r.cfg.Snapshots, meta, batch)
	if errors.Is(err, errRestore) {
		r.log.Error("cannot use a repair", "err", err)
		return nil
	}
	if err != nil {
		return err
	}
	r.log.Info("replaced the state by that of another server", "index", meta.GetIndex())
	return r.snapshots.restart(meta.GetIndex())
}

// restart makes the snapshot at index the only one. None is being written: a
// frozen state has no snapshots taken.
func (s *snapshotter) restart(index uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.newest, s.compactTo = index, 0
	if err := s.store.Prune(index); err != nil {
		return fmt.Errorf("remove snapshots of a diverged state: %w", err)
	}
	return nil
}

func (s *snapshotter) busy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writing
}

// receiveRepair takes the file of a repair that this node has asked for.
func (r *Replica) receiveRepair(header []byte, sizeBytes int64, rd io.Reader) error {
	if !r.repairs.frozen.Load() {
		return errNoRepairWanted
	}
	if r.snapshots.busy() {
		return errSnapshotBusy
	}
	meta, err := fetchRepair(r.cfg.Snapshots, header, sizeBytes, rd)
	if err != nil {
		return err
	}
	r.toApply.put(applyWork{repair: meta})
	return nil
}

// serveRepair sends this node's state, as of the asked index or later, to a peer.
// The newest snapshot does if it is so new. It asks again if nothing comes.
func (r *Replica) serveRepair(p *Repair) {
	if r.applier.frozen != nil || r.cfg.Transport == nil || !r.repairs.begin(p.To) {
		return
	}
	if index := r.snapshots.since(p.Index); index > 0 {
		r.snapshots.wg.Go(func() { r.shipRepair(p.To, index) })
		return
	}
	done := func(index uint64, ok bool) {
		if ok {
			r.shipRepair(p.To, index)
		} else {
			r.repairs.end(p.To)
		}
	}
	if !r.snapshots.take(r.applier, r.wakeApplier, r.fail, done) {
		r.repairs.end(p.To)
	}
}

// since returns the index of the newest snapshot if it is index or later, or 0.
func (s *snapshotter) since(index uint64) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.newest < index {
		return 0
	}
	return s.newest
}

// shipRepair sends the snapshot at index to a peer.
func (r *Replica) shipRepair(to, index uint64) {
	done := func(err error) {
		r.repairs.end(to)
		if err != nil {
			r.log.Warn("repair did not reach a peer", "peer", to, "err", err)
			return
		}
		r.log.Info("sent the state to a peer that had another", "peer", to, "index", index)
	}
	list, err := r.cfg.Snapshots.List()
	if err != nil {
		done(err)
		return
	}
	i := slices.IndexFunc(list, func(meta *pb.SnapshotMetadata) bool { return meta.GetIndex() == index })
	if i < 0 {
		done(fmt.Errorf("open snapshot %d: it is gone", index))
		return
	}
	rc, size, err := r.cfg.Snapshots.Raw(index, list[i].GetTerm())
	if err != nil {
		done(err)
		return
	}
	r.cfg.Transport.SendSnapshot(to, appendRepairHeader(nil, list[i]), size, rc, done)
}
