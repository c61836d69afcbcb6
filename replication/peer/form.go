package peer

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"raftcached/replication/identity"
)

const (
	// formRetryMin and formRetryMax are how long an unformed node waits before it dials
	// again: at first the others are about to do what it waits for.
	formRetryMin = 10 * time.Millisecond
	formRetryMax = 200 * time.Millisecond

	// formReport is how often it reports which servers it waits for.
	formReport = 5 * time.Second
)

// ErrFormed reports that a listed server is a member of a cluster already. This node
// may be one too, without knowing; Join tells.
var ErrFormed = errors.New("the cluster is formed already")

// Form exchanges directory ids with every listed server and returns the cluster
// that they form. All servers must be reachable once: if some of them could form a
// cluster, a node whose folder was wiped could join a second one. Each must have met the
// folders of all others where those are listed: see checkMet. It ends with
// ErrFormed if any of them is in a cluster. A node that is listed alone waits for
// Config.LoneWait, and ends with a *ClaimedError if a cluster looks for it meanwhile.
// The caller must make the cluster durable before it calls Transport.Join. While it
// waits, Form calls report from time to time.
func (t *Transport) Form(ctx context.Context, report func(text string)) (identity.Cluster, error) {
	if len(t.listed()) == 1 {
		return t.formAlone(ctx)
	}
	reported := time.Now()
	for retry := formRetryMin; ; retry = min(2*retry, formRetryMax) {
		waiting, err := t.formRound(ctx)
		if err != nil {
			return identity.Cluster{}, err
		}
		if len(waiting) == 0 {
			return t.formed(), nil
		}
		if time.Since(reported) >= formReport {
			reported = time.Now()
			report("waiting for " + strings.Join(waiting, "; "))
		}
		select {
		case <-ctx.Done():
			return identity.Cluster{}, fmt.Errorf("form the cluster: waited for %s: %w", strings.Join(waiting, "; "), context.Cause(ctx))
		case <-time.After(retry):
		}
	}
}

// formAlone forms the cluster of this node, unless another one looks for it.
func (t *Transport) formAlone(ctx context.Context) (identity.Cluster, error) {
	select {
	case claim := <-t.claims:
		return identity.Cluster{}, claim
	case <-ctx.Done():
		return identity.Cluster{}, fmt.Errorf("form the cluster: %w", context.Cause(ctx))
	case <-time.After(t.config.LoneWait):
		return t.formed(), nil
	}
}

// formed returns the cluster of the listed servers. All their directory ids are known.
func (t *Transport) formed() identity.Cluster {
	t.mu.Lock()
	defer t.mu.Unlock()
	members := slices.Clone(t.self.Members)
	for i := range members {
		members[i].DirectoryID = t.directories[members[i].ServerID]
	}
	return identity.NewCluster(t.self.Constants, members)
}

// formRound exchanges hellos with every server once and returns those that did not
// answer, or not as a server of the cluster, and why. A refusal is an error, because waiting would
// not help, if it is certainly a server's.
func (t *Transport) formRound(ctx context.Context) (waiting []string, err error) {
	for _, m := range t.listed() {
		if m.ServerID == t.config.ServerID {
			continue
		}
		err := t.greet(ctx, m)
		switch {
		case errors.Is(err, ErrFormed):
			return nil, err
		case final(err):
			return nil, fmt.Errorf("server %d refuses this node: %w", m.ServerID, err)
		case err != nil:
			if fault := t.fault(err); fault != nil {
				return nil, fault
			}
			t.log.Debug("no hello", "server", m.ServerID, "err", err)
			t.logDoubtful(m.ServerID, address(m), StreamForm, err)
			waiting = append(waiting, fmt.Sprintf("server %d at %s: %s", m.ServerID, address(m), reason(err)))
		}
	}
	return waiting, nil
}

func (t *Transport) listed() []identity.Member {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.self.Members)
}

// greet exchanges hellos with a server. It is met, too, if it refuses this node for now, which
// it may not have met yet.
func (t *Transport) greet(ctx context.Context, m identity.Member) error {
	conn, remote, err := t.dial(ctx, address(m), m.ServerID, StreamForm)
	if err == nil {
		err = conn.Close()
	}
	if refused, is := errors.AsType[*RefusedError](err); remote == nil || err != nil && (!is || !refused.Passes) {
		return err
	}
	switch {
	case remote.ServerID != m.ServerID:
		return t.doubt(refuse("at %s is server %d, not server %d: correct server.json", address(m), remote.ServerID, m.ServerID), remote.proved)
	case remote.ClusterID == 0:
		t.meetUnformed(remote)
	case err == nil:
		return ErrFormed
	}
	return err
}

// meetUnformed notes which folder an unformed server has, where it is listed.
func (t *Transport) meetUnformed(remote *Hello) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.directories[remote.ServerID] = remote.DirectoryID
}
