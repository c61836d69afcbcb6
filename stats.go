package raftcached

import (
	"fmt"
	"strconv"
	"strings"

	"go.etcd.io/raft/v3"
)

// AppendStats implements server.Backend: the lines of plain stats that tell of
// the replicated state, and those of stats raft.
func (n *Node) AppendStats(dst []byte, arg string) ([]byte, bool) {
	switch arg {
	case "":
		return n.appendStateStats(dst), true
	case "raft":
		return n.appendRaftStats(dst), true
	default:
		return dst, false
	}
}

func (n *Node) appendStateStats(dst []byte) []byte {
	s := n.engine.Stats()
	dst = appendStat(dst, "limit_maxbytes", s.LimitMaxBytes)
	dst = appendStat(dst, "curr_items", s.CurrItems)
	dst = appendStat(dst, "total_items", s.TotalItems)
	dst = appendStat(dst, "bytes", s.Bytes)
	dst = appendStat(dst, "evictions", s.Evictions)
	return appendStat(dst, "reclaimed", s.Expired)
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

// serverID returns the operator's id of the member with the given raft id.
func (n *Node) serverID(raftID uint64) int {
	for _, m := range n.members {
		if m.RaftID == raftID {
			return m.ServerID
		}
	}
	return -1
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
