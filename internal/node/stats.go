package node

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"raftcached/protocol"
	"raftcached/protocol/server"
	"raftcached/protocol/server/stats"
	"raftcached/replication/disk"

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
		EvictedAge:     time.Duration(s.EvictedAfterMs) * time.Millisecond,
		AllocatedBytes: s.AllocatedBytes, IndexBuckets: s.IndexBuckets, IndexBytes: s.IndexBytes, IndexResizing: s.IndexResizing,
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
	peers := make([]string, 0, len(n.members))
	for _, m := range n.members {
		if m.RaftID != s.ID {
			peers = append(peers, strconv.Itoa(m.ServerID))
		}
	}
	l.AddInt("raft_id", int64(n.serverID(s.ID)))
	l.Add("raft_state", stateName(s.State))
	l.AddInt("raft_leader_id", leader)
	l.AddInt("raft_term", int64(s.Term))
	l.AddInt("raft_commit_index", int64(max(s.Commit, applied)))
	l.AddInt("raft_applied_index", int64(applied))
	l.AddInt("raft_last_log_index", int64(max(s.LastIndex, applied)))
	l.Add("raft_peers", strings.Join(peers, ","))
	l.Add("state_digest", fmt.Sprintf("%016x", digest))
	l.Add("state_verdict", s.Verdict.String())
	n.addDisk(&l)
	return l
}

// addDisk adds what the log takes, and what is left.
func (n *Node) addDisk(l *protocol.StatList) {
	space, known := disk.SpaceAt(n.cfg.Disk, n.cfg.DataDir)
	if !known {
		return // files in memory
	}
	used, _, _ := disk.Contents(n.cfg.Disk, filepath.Join(n.cfg.DataDir, "wal"))
	l.AddInt("log_disk_bytes", used)
	l.AddInt("disk_free_bytes", space.Free)
}

// clusterStats answers stats cluster: the members as this node sees them.
func (n *Node) clusterStats() (l protocol.StatList) {
	leader := n.replica.Status().Leader
	reachable := 0
	var members protocol.StatList
	for _, m := range n.members {
		self := m.ServerID == n.cfg.ServerID
		reached := self || n.transport != nil && n.transport.Connected(m.RaftID)
		if reached {
			reachable++
		}
		name := "server:" + strconv.Itoa(m.ServerID) + ":"
		members.Add(name+"address", n.clientAddr(m.ServerID))
		if n.transport != nil {
			members.Add(name+"log_address", joinHostPort(m.Host, m.LogPort))
		}
		members.Add(name+"self", yesNo(self))
		members.Add(name+"leader", yesNo(m.RaftID == leader))
		members.Add(name+"reachable", yesNo(reached))
	}
	l.AddInt("servers", int64(len(n.members)))
	l.AddInt("servers_majority", int64(len(n.members)/2+1))
	l.AddInt("servers_reachable", int64(reachable))
	return append(l, members...)
}

// clientAddr returns the configured address of a member for clients; for a lone node
// the address that it listens on.
func (n *Node) clientAddr(serverID int) string {
	if len(n.cfg.Servers) == 1 {
		return n.cfg.Server.Listen[0]
	}
	for _, s := range n.cfg.Servers {
		if s.ID == serverID {
			return joinHostPort(s.Host, s.ClientPort)
		}
	}
	panic(fmt.Sprintf("server %d is not listed", serverID)) // checkCluster compared them
}

// Members implements server.Backend. A cluster keeps the servers that it was formed
// with, so their list has version 1.
func (n *Node) Members(local string) (version uint64, members []server.Member) {
	if len(n.members) > 1 {
		for _, s := range n.cfg.Servers {
			members = append(members, server.Member{Host: s.Host, Port: s.ClientPort})
		}
		return 1, members
	}
	host, port, err := net.SplitHostPort(local)
	number, numberErr := strconv.Atoi(port)
	if errors.Join(err, numberErr) != nil {
		panic(fmt.Sprintf("a client has connected to %q", local)) // package net printed the address
	}
	return 1, []server.Member{{Host: host, Port: number}}
}

// serverID returns the operator's id of the member with the given raft id.
func (n *Node) serverID(raftID uint64) int {
	for _, m := range n.members {
		if m.RaftID == raftID {
			return m.ServerID
		}
	}
	return -1
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
