package replication

import "time"

// applyLoop is the applier. When it has nothing to apply it tidies up.
func (r *Replica) applyLoop() {
	var (
		applier = r.machine.applier
		taken   []applyInput
		effects []applyEffect
	)
	for r.awaitWork() {
		taken = r.toApply.take(taken)
		began, entries := time.Since(r.start), false
		for i := range taken {
			entries = entries || taken[i].kind == applyEntries
			applier.step(&taken[i])
		}
		effects = applier.ready(effects)
		if entries {
			now := time.Since(r.start)
			r.timings.Apply.AddDuration(now-began, 1)
			r.timings.apply.Add(began, now)
		}
		r.machine.gate.appliedTo(applier.st.index)
		for i := range effects {
			r.carryOutApply(&effects[i])
			if r.ctx.Err() != nil {
				return
			}
		}
	}
}

// awaitWork waits until there is something for the applier; false means that the
// replica has stopped.
func (r *Replica) awaitWork() bool {
	for more := true; more; {
		select {
		case <-r.ctx.Done():
			return false
		case <-r.toApply.wake:
			return true
		default:
			more = r.machine.applier.Tidy()
		}
	}
	select {
	case <-r.ctx.Done():
		return false
	case <-r.toApply.wake:
		return true
	}
}

// carryOutApply carries out one effect of the applier, on its goroutine.
func (r *Replica) carryOutApply(e *applyEffect) {
	switch e.kind {
	case effectAnswers:
		r.cfg.Clients[e.loop].Answers(e.answers)
	case effectReport:
		for _, e := range e.report.Refused {
			r.log.Error("an entry of the raft log cannot be read: it is passed over, as on all servers", "index", e.Index, "err", e.Reason)
		}
		r.in.put(input{kind: inputApplied, applied: e.report})
	case effectWrite:
		r.toDisk.put(e.write)
	case effectCut:
		r.toLog.put(appendInput{cut: e.index})
	case effectPrune:
		r.fail(r.cfg.Snapshots.Prune(e.index))
	case effectRestore:
		r.restore(e)
	case effectKeep:
		r.keep(e.image)
	case effectShip:
		r.ship(&e.ship)
	case effectNoShip:
		r.in.put(input{kind: inputShipped, peer: e.ship.To})
	case effectReply:
		e.reply(e.err)
	case effectAgain:
		r.toApply.put(applyInput{kind: applyAgain})
	case effectFail:
		r.fail(e.err)
	}
}

// restore replaces the state by a snapshot.
func (r *Replica) restore(e *applyEffect) {
	err := restoreSnapshot(r.cfg.Snapshots, e.meta, r.machine.applier.st)
	switch {
	case !e.repair && err != nil: // the node fails
	case !e.repair:
		r.log.Info("replaced the state by a snapshot", "index", e.meta.GetIndex())
	case err != nil:
		r.log.Error("cannot use a repair", "index", e.meta.GetIndex(), "err", err)
	default:
		r.log.Info("replaced the state by that of another server", "index", e.meta.GetIndex())
	}
	r.toApply.put(applyInput{kind: applyRestored, err: err})
}

// keep writes the image of a state that is to be replaced. Nothing is served or
// applied meanwhile. The repair does not depend on it.
func (r *Replica) keep(image *Image) {
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
