package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"raftcached/engine"
	"raftcached/internal/admin"
	"raftcached/internal/backup"
	"raftcached/internal/item"
	"raftcached/protocol"
)

const (
	// backupRest is the pause after each part of a backup, as a multiple of the time
	// that the part took: a backup leaves the processors to the clients. backupRestMax
	// bounds it, for who reads slowly pauses anyway.
	backupRest    = 16
	backupRestMax = 25 * time.Millisecond

	// backupSpareBytes must be free on the disk besides what a snapshot takes: one that
	// cannot be written ends the server. It is two segments of the log.
	backupSpareBytes = 128 << 20
)

var errBackupBusy = errors.New("another backup is being read from this server: wait for it, or ask another server")

// Backup implements admin.Node. It writes a snapshot that is on this server's disk and
// holds everything that was acknowledged before the call: one is taken if there is
// none. So neither the state nor the event loops wait for whoever reads the backup.
func (n adminNode) Backup(ctx context.Context, w io.Writer) error {
	if !n.life.backup.TryLock() {
		return errBackupBusy
	}
	defer n.life.backup.Unlock()
	if state, reason := n.Ready(ctx); state != admin.StateOK {
		return fmt.Errorf("%s: %s", state, reason)
	}
	// Not one that was asked for before.
	if status, err := n.client.Confirm(ctx); err != nil || status != protocol.StatusOK {
		return errors.New("no majority has confirmed in time what this server has: try again")
	}
	need := n.engine.SizeBytes() + backupSpareBytes
	if d := n.disk(); d != nil && d.FreeBytes < need {
		return fmt.Errorf("the disk has no room for another snapshot: %d MiB are free, %d are needed", d.FreeBytes>>20, mebibytes(need))
	}
	begin := time.Now()
	s, err := n.replica.Snapshot(ctx)
	if err != nil {
		return err
	}
	h := backup.Header{
		Cluster: fmt.Sprintf("%016x", n.identity.Cluster().ID), Server: n.cfg.ServerID, Program: n.cfg.Server.RaftcachedVersion,
		Index: s.Index, Term: s.Term,
	}
	err = errors.Join(backup.Write(w, h, s, pace()), s.Close())
	if err != nil {
		n.cfg.Logger.Warn("a backup was not read to its end", "index", s.Index, "err", err)
		return err
	}
	n.cfg.Logger.Info("gave out a backup", "index", s.Index, "took", time.Since(begin).Round(time.Millisecond))
	return nil
}

// pace returns a function that pauses in proportion to the time since it returned last.
func pace() func() {
	last := time.Now()
	return func() {
		time.Sleep(min(backupRestMax, backupRest*time.Since(last)))
		last = time.Now()
	}
}

// Restore implements admin.Node.
func (n adminNode) Restore(ctx context.Context, s *admin.RestoreStep) (chunks uint64, err error) {
	switch state, reason := n.Ready(ctx); state {
	case admin.StateOK, admin.StateRestoring:
	default:
		return 0, fmt.Errorf("%s: %s", state, reason)
	}
	var ops []*engine.Op
	switch s.Step {
	case admin.RestoreBegin:
		ops = append(ops, &engine.Op{Kind: engine.OpFillBegin, Value: s.Plan})
	case admin.RestoreItems:
		for i, chunk := range s.Chunks {
			ops = append(ops, &engine.Op{Kind: engine.OpFillItems, CAS: s.ID, Delta: s.First + uint64(i), Value: chunk})
		}
	case admin.RestoreEnd:
		ops = append(ops, &engine.Op{Kind: engine.OpFillEnd, CAS: s.ID})
	case admin.RestoreAbandon:
		ops = append(ops, &engine.Op{Kind: engine.OpFillAbandon})
	default:
		return 0, &admin.RefusedError{Reason: fmt.Sprintf("there is no step %q of a restore", s.Step)}
	}
	results, err := n.client.apply(ctx, ops)
	if err != nil {
		return 0, err
	}
	for _, r := range results {
		if err := n.restoreError(s, r.Status); err != nil {
			return 0, err
		}
		chunks = r.Number
	}
	if s.Step != admin.RestoreItems {
		n.cfg.Logger.Info("a backup is being restored", "step", s.Step)
	}
	return chunks, nil
}

// restoreError says what is wrong with a step whose outcome was a status.
func (n adminNode) restoreError(s *admin.RestoreStep, status protocol.Status) error {
	refuse := func(format string, args ...any) error {
		return &admin.RefusedError{Reason: fmt.Sprintf(format, args...)}
	}
	switch status {
	case item.StatusNumber, item.StatusOK:
		return nil
	case protocol.StatusNoLeader, protocol.StatusOutcomeUnknown, protocol.StatusRepairing, protocol.StatusNoMajority:
		return errors.New("no majority has taken the step in time: repeat it")
	case item.StatusExists:
		return refuse("the cluster is not new: something was stored in it. A backup is restored into a new, empty cluster only")
	case item.StatusFilling:
		return refuse("another backup is being restored and is not complete: repeat its restore, or give it up with raftcachectl restore --abandon")
	case item.StatusOutOfMemory, item.StatusTooLarge:
		return refuse("%s", n.tooSmall(s, status))
	case item.StatusNotFound:
		if s.Step == admin.RestoreAbandon {
			return refuse("no restore is going on: there is nothing to give up")
		}
		return refuse("no such restore is going on: repeat the command")
	}
	return refuse("the items are not those of the backup: give the restore up with raftcachectl restore --abandon, and look at the backup with raftcachectl inspect")
}

// tooSmall says why a backup does not fit.
func (n adminNode) tooSmall(s *admin.RestoreStep, status protocol.Status) string {
	p, err := engine.ReadFillPlan(s.Plan)
	limit := n.engine.Stats().LimitMaxBytes
	switch {
	case err != nil:
		return err.Error()
	case status == item.StatusOutOfMemory:
		return fmt.Sprintf("the items need %d MiB, and the memory limit is %d MiB: form the new cluster with a higher -m", mebibytes(p.Bytes), limit>>20)
	case p.ItemBytesMax > int64(n.cfg.Limits.ItemBytesMax):
		return fmt.Sprintf("an item has %d KiB, and the cluster takes up to %d KiB: form the new cluster with a higher -I", (p.ItemBytesMax+1023)>>10, n.cfg.Limits.ItemBytesMax>>10)
	}
	return fmt.Sprintf("an item takes more than half of the memory limit of %d MiB: form the new cluster with a higher -m", limit>>20)
}

// mebibytes rounds up.
func mebibytes(n int64) int64 { return (n + 1<<20 - 1) >> 20 }

// apply executes operations in order and returns their results, or the first error.
// After an error some may have had effect.
func (c *Client) apply(ctx context.Context, ops []*engine.Op) ([]protocol.Result, error) {
	calls := make([]*call, len(ops))
	var failed error
	for i, op := range ops {
		calls[i] = &call{op: op, done: make(chan struct{})}
		if failed = c.queueCall(ctx, calls[i]); failed != nil {
			calls = calls[:i]
			break
		}
	}
	results := make([]protocol.Result, 0, len(calls))
	for _, call := range calls {
		if err := c.await(ctx, call); err != nil {
			failed = errors.Join(failed, err)
			continue // the others borrow what is the caller's too
		}
		results = append(results, call.result)
	}
	return results, failed
}
