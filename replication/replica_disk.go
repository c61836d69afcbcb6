package replication

import (
	"errors"
	"io"
	"runtime"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// fullRetry is how often the append worker tries again while the disk is full.
const fullRetry = 100 * time.Millisecond

// appendLoop is the append worker. While one batch syncs, the next one gathers.
func (r *Replica) appendLoop() {
	var (
		taken   []appendInput
		effects []appendEffect
	)
	for {
		select {
		case <-r.ctx.Done():
			return
		case <-r.toLog.wake:
		}
		r.yield()
		taken = r.toLog.take(taken)
		effects = r.machine.appender.step(taken, effects[:0])
		for i := range effects {
			if err := r.carryOutAppend(&effects[i]); err != nil {
				r.fail(err)
				return
			}
		}
		clear(taken) // many MiB, and the next ones are on their way
		clear(effects)
	}
}

// yield lets others run before a sync, which may keep the processor: what they are about to
// bring is written with the rest. Where the node is alone that is also what has come from clients
// and was not read yet, and answers leave; otherwise others wait for the sync. See decision 72.
func (r *Replica) yield() {
	if r.cfg.Yield == nil || !r.status.Load().Alone || r.oneByOne.Load() {
		runtime.Gosched()
		return
	}
	r.cfg.Yield()
}

// carryOutAppend carries out one effect of the appender.
func (r *Replica) carryOutAppend(e *appendEffect) error {
	switch e.kind {
	case appendInstall:
		return r.ask(applyInput{kind: applyInstall, meta: e.meta})
	case appendTell:
		for _, news := range e.news {
			r.tellMembers(news)
		}
		return nil
	case appendRespond:
		for _, m := range e.peers {
			r.send(m, 0)
		}
		if len(e.own) > 0 {
			r.in.put(input{kind: inputAppended, messages: e.own})
		}
		return nil
	default:
		return r.write(e)
	}
}

// write writes to the log. While the disk is full it waits for room, and lets the log
// go as far as that is allowed meanwhile. To raft this is a disk that does not answer.
func (r *Replica) write(e *appendEffect) error {
	since := time.Now()
	err := e.carryOut(r.cfg.Log)
	if e.sync {
		took := time.Since(since)
		r.timings.Sync.AddDuration(took, 1)
		if now := time.Since(r.start); took > 0 {
			r.timings.disk.Add(now-took, now)
		}
	}
	if !errors.Is(err, ErrDiskFull) {
		return err
	}
	since = time.Now()
	r.log.Error("the disk is full: the log waits for room", "err", err)
	for ; errors.Is(err, ErrDiskFull); err = e.carryOut(r.cfg.Log) {
		select {
		case <-r.ctx.Done():
			return r.Err()
		case <-time.After(fullRetry):
		}
		for _, in := range r.toLog.extract(func(in *appendInput) bool { return in.cut > 0 }) {
			if err := cutLog(r.cfg.Log, in.cut); err != nil {
				return err
			}
		}
	}
	if err == nil {
		r.log.Info("the disk has room again", "after", time.Since(since))
	}
	return err
}

// ask gives the applier an input and waits for its reply.
func (r *Replica) ask(in applyInput) error {
	reply := make(chan error, 1)
	in.reply = func(err error) { reply <- err }
	r.toApply.put(in)
	select {
	case err := <-reply:
		return err
	case <-r.ctx.Done():
		return r.Err()
	}
}

// snapshotLoop writes what the applier produces of snapshots.
func (r *Replica) snapshotLoop() {
	file := snapshotFile{store: r.cfg.Snapshots}
	var news snapshotNews
	var taken []snapshotWrite
	for {
		select {
		case <-r.ctx.Done():
			if err := file.abort(); err != nil {
				r.log.Warn("left an unfinished snapshot", "err", err)
			}
			return
		case <-r.toDisk.wake:
		}
		taken = r.toDisk.take(taken)
		for i := range taken {
			news.follow(&taken[i], time.Now())
			told, err := file.do(&taken[i])
			if err != nil {
				r.fail(err)
				return
			}
			if told.kind != applyAgain {
				r.toApply.put(told)
			}
			if told.ok {
				r.tellSnapshot(&news, file.at.index)
			}
			if told.kind == applyEnded && file.full != nil {
				r.log.Warn("no room for a snapshot: the log grows until there is", "index", file.at.index, "err", file.full)
			}
		}
	}
}

// tellSnapshot logs that a snapshot is durable.
func (r *Replica) tellSnapshot(news *snapshotNews, index uint64) {
	now := time.Now()
	untold, tell := news.taken(now)
	if !tell {
		return
	}
	attrs := []any{"index", index, "KiB", news.sizeBytes >> 10, "took", now.Sub(news.begun).Round(time.Millisecond)}
	if untold > 0 {
		attrs = append(attrs, "others", untold)
	}
	r.log.Info("took a snapshot", attrs...)
}

// fetchLoop reads back entries of the log that are no longer in memory.
func (r *Replica) fetchLoop() {
	for {
		select {
		case <-r.ctx.Done():
			return
		case f := <-r.toFetch:
			ents, err := f.do(r.cfg.Log)
			r.in.put(input{kind: inputFetched, entries: ents, err: err})
		}
	}
}

// ship sends a snapshot to a peer.
func (r *Replica) ship(s *Ship) {
	to, index, forRaft := s.To, s.Meta.GetIndex(), s.Raft
	var (
		file *shipFile
		size int64
		err  error
	)
	done := func(err error) {
		if file != nil && file.err != nil {
			r.setAside(file)
		}
		switch {
		case err != nil:
			r.log.Warn("snapshot did not reach a server", "server", r.name(to), "index", index, "repair", !forRaft, "err", err)
		case !forRaft:
			r.log.Info("sent the state to a server that had another", "server", r.name(to), "index", index)
		default:
			r.log.Info("sent a snapshot", "server", r.name(to), "index", index)
		}
		r.in.put(input{kind: inputShipped, peer: to, forRaft: forRaft, ok: err == nil})
	}
	if file, size, err = s.open(r.cfg.Snapshots); err != nil {
		done(err)
		return
	}
	r.cfg.Transport.SendSnapshot(to, s.Header, size, file, done)
}

// setAside has another snapshot taken if one is damaged.
func (r *Replica) setAside(f *shipFile) {
	switch damaged, err := f.setAside(); {
	case err != nil:
		r.log.Error("cannot check a snapshot that could not be read", "index", f.at.index, "err", err)
	case damaged:
		r.log.Error("a snapshot is damaged: set it aside, and taking another one", "index", f.at.index, "err", f.err)
		r.toApply.put(applyInput{kind: applyDamaged, index: f.at.index})
	}
}

// HandleSnapshot receives a snapshot's file; header is the MsgSnap, or says that
// it is a repair. It returns when the file is durable and raft, or the applier,
// has been told.
func (r *Replica) HandleSnapshot(from uint64, header []byte, sizeBytes int64, rd io.Reader) error {
	a, err := newArrival(header, r.cfg.bugs)
	if err != nil {
		return err
	}
	for {
		switch step := a.next(); step {
		case arrivalOffer:
			err = r.ask(applyInput{kind: applyOffer})
		case arrivalStore:
			var meta *pb.SnapshotMetadata
			if meta, err = r.cfg.Snapshots.Receive(rd, sizeBytes); err == nil {
				r.log.Info("received a snapshot", "server", r.name(from), "index", meta.GetIndex(), "MiB", sizeBytes>>20)
				err = a.stored(meta)
			}
		case arrivalPass:
			r.in.put(input{kind: inputStep, message: a.message})
		case arrivalAim:
			r.toApply.put(applyInput{kind: applyAim, meta: a.meta})
		case arrivalEnd:
			return nil
		}
		if err != nil {
			return err
		}
	}
}
