package node

import (
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"raftcached/protocol/server"

	"go.etcd.io/raft/v3"
)

// State implements server.Backend.
func (n *Node) State() server.State {
	s := n.engine.Stats()
	expired := int64(0)
	for _, l := range n.loops {
		expired += l.reader.Expired()
	}
	state := server.State{
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

// AppendStats implements server.Backend: what only a server of a cluster has.
func (n *Node) AppendStats(dst []byte, arg string) ([]byte, bool) {
	switch arg {
	case "raft":
		return n.appendRaftStats(dst), true
	case "cluster":
		return n.appendClusterStats(dst), true
	default:
		return dst, false
	}
}

// appendRaftStats answers stats raft. Ids are those of server.json.
func (n *Node) appendRaftStats(dst []byte) []byte {
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
	dst = appendStat(dst, "raft_id", int64(n.serverID(s.ID)))
	dst = appendStatText(dst, "raft_state", stateName(s.State))
	dst = appendStat(dst, "raft_leader_id", leader)
	dst = appendStat(dst, "raft_term", int64(s.Term))
	dst = appendStat(dst, "raft_commit_index", int64(max(s.Commit, applied)))
	dst = appendStat(dst, "raft_applied_index", int64(applied))
	dst = appendStat(dst, "raft_last_log_index", int64(max(s.LastIndex, applied)))
	dst = appendStatText(dst, "raft_peers", strings.Join(peers, ","))
	dst = appendStatText(dst, "state_digest", fmt.Sprintf("%016x", digest))
	return appendStatText(dst, "state_verdict", s.Verdict.String())
}

// appendClusterStats answers stats cluster: the members as this node sees them.
func (n *Node) appendClusterStats(dst []byte) []byte {
	leader := n.replica.Status().Leader
	reachable := 0
	var lines []byte
	for _, m := range n.members {
		self := m.ServerID == n.cfg.ServerID
		reached := self || n.transport != nil && n.transport.Connected(m.RaftID)
		if reached {
			reachable++
		}
		name := "server:" + strconv.Itoa(m.ServerID) + ":"
		lines = appendStatText(lines, name+"address", n.clientAddr(m.ServerID))
		if n.transport != nil {
			lines = appendStatText(lines, name+"log_address", joinHostPort(m.Host, m.LogPort))
		}
		lines = appendStatText(lines, name+"self", yesNo(self))
		lines = appendStatText(lines, name+"leader", yesNo(m.RaftID == leader))
		lines = appendStatText(lines, name+"reachable", yesNo(reached))
	}
	dst = appendStat(dst, "servers", int64(len(n.members)))
	dst = appendStat(dst, "servers_majority", int64(len(n.members)/2+1))
	dst = appendStat(dst, "servers_reachable", int64(reachable))
	return append(dst, lines...)
}

// clientAddr returns where clients reach a member as the configuration says: of a
// lone node, where it listens.
func (n *Node) clientAddr(serverID int) string {
	if len(n.cfg.Servers) == 1 {
		return n.cfg.Server.Listen[0]
	}
	for _, s := range n.cfg.Servers {
		if s.ID == serverID {
			return joinHostPort(s.Host, s.ClientPort)
		}
	}
	panic(fmt.Sprintf("server %d is not listed", serverID)) // checkCluster has seen to it
}

// Members implements server.Backend. The servers of a cluster are those that it
// was formed with: their list has had no version but the first.
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
		panic(fmt.Sprintf("a client has connected to %q", local)) // net has told the address
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

func appendStat(dst []byte, name string, value int64) []byte {
	return appendStatText(dst, name, strconv.FormatInt(value, 10))
}

func appendStatText(dst []byte, name, value string) []byte {
	dst = append(dst, "STAT "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}
