package node

import (
	"context"
	"errors"
	"time"
)

// A node that is closed, as by SIGTERM, stops in this order:
//
//  1. It is not ready any more, which the admin port says until the sixth step.
//  2. It accepts no more clients. Those that are connected are served.
//  3. If it leads, the voter with the longest log takes over: after an election
//     timeout without success the next one, until all that can be reached were asked.
//     This takes a few syncs of a disk, and handOverTimeout at most. Writes wait
//     meanwhile; they go to the new leader.
//  4. The requests that have arrived are answered, and connections are closed: in
//     drainTimeout at most, after which they are cut.
//  5. The replica stops. What the append worker has begun to write it still syncs.
//  6. Peers, the admin port, log, snapshots and the lock of the data folder are let go.
//
// A node that fails skips to the fourth step. If its replica has ended, the requests that
// wait for it get no answers any more: connections are closed once the answers that are
// on their way have left, after failedDrainTimeout at most.
const (
	handOverTimeout    = 3 * time.Second
	drainTimeout       = 5 * time.Second
	failedDrainTimeout = 100 * time.Millisecond
)

// Close stops the node in the order that is written at the top of this file.
func (n *Node) Close() error {
	n.stop(nil)
	<-n.done
	return n.err
}

func (n *Node) stop(cause error) {
	n.closing.Do(func() {
		if cause == nil {
			n.handOver()
		}
		n.err = errors.Join(cause, n.release())
		close(n.done)
	})
}

// handOver moves leadership to another node while this one still serves the clients
// that it has.
func (n *Node) handOver() {
	n.life.stopping.Store(true)
	if n.front != nil {
		n.front.StopAccepting()
	}
	ctx, cancel := context.WithTimeout(context.Background(), handOverTimeout)
	defer cancel()
	n.replica.HandOver(ctx)
	if s := n.replica.Status(); s.Leader == s.ID && n.reach().votes > 1 {
		n.cfg.Logger.Warn("no other server could take leadership over: they will elect one")
	}
}

// release closes all parts that were started: clients first, the lock of the data
// folder last. The admin port reads the engine, and is closed before it.
func (n *Node) release() error {
	n.life.stopping.Store(true)
	var errs []error
	hasFailed, patience := n.replica != nil && n.replica.Err() != nil, drainTimeout
	if hasFailed {
		patience = failedDrainTimeout
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if n.front != nil {
		err := n.front.Close(ctx)
		if !hasFailed || !errors.Is(err, context.DeadlineExceeded) { // the failure says why some were cut
			errs = append(errs, err)
		}
	}
	if n.client != nil {
		n.client.close(ctx)
	}
	if n.replica != nil {
		n.replica.Close()
	}
	if n.yielder != nil {
		errs = append(errs, n.yielder.Close())
	}
	if n.transport != nil {
		errs = append(errs, n.transport.Close())
	}
	if n.admin != nil {
		n.page.Close()
		errs = append(errs, n.admin.Close())
	}
	if n.health != nil {
		errs = append(errs, n.health.Close())
	}
	if n.engine != nil {
		n.engine.Close()
	}
	if n.files != nil {
		errs = append(errs, n.files.close())
	}
	if n.identity != nil {
		errs = append(errs, n.identity.Close())
	}
	return errors.Join(errs...)
}
