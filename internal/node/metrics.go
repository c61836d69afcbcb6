package node

import (
	"cmp"
	"time"

	"raftcached/internal/metrics"
)

// sample is what the node tells Prometheus now. Any goroutine may call it.
func (n *Node) sample() metrics.Sample {
	s := metrics.Sample{Version: n.cfg.Server.RaftcachedVersion, Server: n.cfg.ServerID}
	s.TLS = n.portsInTLS()
	stage := n.life.stage.Load()
	if seen := n.room.Load(); seen != nil && stage >= stageReading {
		s.Disk = &metrics.Disk{Free: seen.Free, Reserve: n.reserve(), Log: seen.logBytes, LogMax: n.logBytesMax()}
	}
	if stage >= stageServing {
		s.Serves = n.served()
	}
	return s
}

// served is what a node tells that serves clients.
func (n *Node) served() *metrics.Served {
	r := n.replica.Status()
	applied, _ := n.replica.Digest()
	counts, conns := n.front.Counts()
	votes := n.reach()
	s := &metrics.Served{
		Counts: counts, Conns: conns, ConnsMax: n.cfg.Server.MaxConnections, Cache: n.State(),
		Role: stateName(r.State), HasLeader: r.Leader != 0, LeaderChanges: n.narrator.changes.Load(), Term: r.Term,
		CommitIndex: max(r.Commit, applied), Applied: applied, LastLog: max(r.LastIndex, applied),
		Verdict: r.Verdict.String(), Refuses: cmp.Or(refusalNames[r.Refusing], "none"),
		ClusterVersion: n.members().ClusterVersion(), ClusterVersionMax: n.versionMax(),
		Leases: n.leases(), Lease: n.replica.Gate().Holds(), LeaseHolders: r.Holders,
		Waits: r.HolderWaits.Count, Waited: r.HolderWaits.Total, WaitedMax: r.HolderWaits.Worst,
		TimeAhead: time.Duration(n.engine.OffsetMs()) * time.Millisecond,
		Voters:    votes.votes, Majority: votes.majority, Reachable: votes.reached,
	}
	measured, timings := n.front.Measured(), n.replica.Timings()
	s.Latencies, s.ValueSizes = measured.Latencies, measured.Sizes
	s.Sync.Include(&timings.Sync)
	s.Commit.Include(&timings.Commit)
	s.Apply.Include(&timings.Apply)
	_, s.Slow = n.front.Slow()
	for _, m := range n.places() {
		s.Servers = append(s.Servers, metrics.Server{ID: m.ServerID, Reachable: n.reaches(&m.Member)})
		if n.isSelf(&m.Member) && m.Learner {
			s.Role = "learner"
		}
	}
	return s
}
