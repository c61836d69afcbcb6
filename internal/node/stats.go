package node

import (
	"cmp"
	"fmt"
	"strconv"
	"strings"
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"

	"go.etcd.io/raft/v3"
)

// State implements server.Backend.
func (n *Node) State() stats.State {
	s := n.engine.Stats()
	expired := int64(0)
	for _, l := range n.loops {
		expired += l.reader.Expired()
	}
	state := stats.State{
		Items: s.CurrItems, TotalItems: s.TotalItems, Bytes: s.Bytes, LimitBytes: s.LimitMaxBytes, Evicts: !n.cfg.Limits.NoEvict,
		Evictions: s.Evictions, EvictedUnfetched: s.EvictedUnfetched,
		Reclaimed: s.Expired, ExpiredUnfetched: s.ExpiredUnfetched, GetExpired: expired,
		EvictedAge: time.Duration(s.EvictedAfterMs) * time.Millisecond,
		Seeded:     s.Seeded, AllocatedBytes: s.AllocatedBytes, IndexBuckets: s.IndexBuckets, IndexBytes: s.IndexBytes, IndexResizing: s.IndexResizing,
	}
	if s.OldestMs != 0 {
		state.Age = max(0, time.Since(time.UnixMilli(s.OldestMs)))
	}
	return state
}

// Stats implements server.Backend: what only a server of a cluster has.
func (n *Node) Stats(arg string) (protocol.StatList, bool) {
	switch arg {
	case "raft":
		return n.raftStats(), true
	case "cluster":
		return n.clusterStats(), true
	case "tls":
		return n.tlsStats(), true
	default:
		return nil, false
	}
}

// raftStats answers stats raft. Ids are those of server.json.
func (n *Node) raftStats() (l protocol.StatList) {
	s := n.replica.Status()
	applied, digest := n.replica.Digest()
	leader := int64(-1)
	if s.Leader != 0 {
		leader = int64(n.serverID(s.Leader))
	}
	var peers []string
	role := stateName(s.State)
	for _, m := range n.places() {
		switch {
		case !n.isSelf(&m.Member):
			peers = append(peers, strconv.Itoa(m.ServerID))
		case m.Learner:
			role = "learner"
		}
	}
	l.AddInt("raft_id", int64(n.cfg.ServerID))
	l.Add("raft_state", role)
	l.AddInt("raft_leader_id", leader)
	l.AddInt("raft_term", int64(s.Term))
	l.AddInt("raft_commit_index", int64(max(s.Commit, applied)))
	l.AddInt("raft_applied_index", int64(applied))
	l.AddInt("raft_last_log_index", int64(max(s.LastIndex, applied)))
	l.Add("raft_peers", strings.Join(peers, ","))
	l.Add("state_digest", fmt.Sprintf("%016x", digest))
	l.Add("state_verdict", s.Verdict.String())
	l.Add("writes_refused", cmp.Or(refusalNames[s.Refusing], "no"))
	l.AddInt("cluster_version", int64(n.members().ClusterVersion()))
	l.AddInt("cluster_version_known", int64(n.knownVersion()))
	l.AddInt("cluster_version_max", int64(n.versionMax()))
	l.Add("leases", n.leases())
	l.Add("lease", yesNo(n.replica.Gate().Holds()))
	l.AddInt("lease_holders", int64(s.Holders))
	l.AddInt("lease_waits", int64(s.HolderWaits.Count))
	l.AddInt("lease_wait_us", s.HolderWaits.Total.Microseconds())
	l.AddInt("lease_wait_max_us", s.HolderWaits.Worst.Microseconds())
	l.AddInt("log_time_ahead_ms", n.engine.OffsetMs())
	n.addDisk(&l)
	return l
}

// addDisk adds what the log takes, and what is left, as last seen.
func (n *Node) addDisk(l *protocol.StatList) {
	seen := n.room.Load()
	if seen == nil {
		return
	}
	reserve := n.reserve()
	l.AddInt("log_disk_bytes", seen.logBytes)
	l.AddInt("log_disk_limit_bytes", n.logBytesMax())
	l.AddInt("disk_free_bytes", seen.Free)
	l.AddInt("disk_reserve_bytes", reserve)
	l.Add("disk_low", yesNo(seen.Free < reserve))
}

// clusterStats answers stats cluster: the members as this node sees them.
func (n *Node) clusterStats() (l protocol.StatList) {
	leader := n.replica.Status().Leader
	servers, votes := n.places(), n.reach()
	reachable := 0
	var members protocol.StatList
	for _, m := range servers {
		reached := n.reaches(&m.Member)
		if reached {
			reachable++
		}
		name := "server:" + strconv.Itoa(m.ServerID) + ":"
		if n.transport == nil {
			members.Add(name+"address", n.cfg.Server.Listen[0]) // a lone node is where it listens
		} else {
			members.Add(name+"address", n.address(&m.Member))
			members.Add(name+"log_address", joinHostPort(m.Host, m.LogPort))
		}
		members.Add(name+"self", yesNo(n.isSelf(&m.Member)))
		members.Add(name+"leader", yesNo(m.RaftID != 0 && m.RaftID == leader))
		members.Add(name+"votes", yesNo(m.votes()))
		members.Add(name+"reachable", yesNo(reached))
	}
	l.AddInt("servers", int64(len(servers)))
	l.AddInt("servers_majority", int64(votes.majority))
	l.AddInt("servers_reachable", int64(reachable))
	l.AddInt("voters", int64(votes.votes))
	l.AddInt("voters_reachable", int64(votes.reached))
	return append(l, members...)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

func stateName(s raft.StateType) string {
	switch s {
	case raft.StateLeader:
		return "leader"
	case raft.StateCandidate, raft.StatePreCandidate:
		return "candidate"
	default:
		return "follower"
	}
}
