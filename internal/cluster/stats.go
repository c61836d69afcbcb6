package cluster

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"
)

// askTimeout bounds one request to a server.
const askTimeout = 20 * time.Second

// RaftStats is what `stats raft` answers.
type RaftStats struct {
	ID       int
	State    string // leader, follower, candidate, learner
	LeaderID int    // -1: unknown
	Term     uint64
	Commit   uint64 // index
	Applied  uint64 // index
	LastLog  uint64 // index
	Peers    []int
	Digest   string // of the state at Applied: 16 hex digits
}

// Ask sends one request line to a server on a new connection and returns the lines
// of the answer before END. An answer without END is a single line.
func Ask(ctx context.Context, addr, line string) ([]string, error) {
	dialer := net.Dialer{Timeout: askTimeout}
	conn, err := dialer.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }() // the answer was read or does not matter
	if err := conn.SetDeadline(time.Now().Add(askTimeout)); err != nil {
		return nil, err
	}
	if _, err := conn.Write([]byte(line + "\r\n")); err != nil {
		return nil, fmt.Errorf("ask %q of %s: %w", line, addr, err)
	}
	var lines []string
	for s := bufio.NewScanner(conn); ; {
		if !s.Scan() {
			return nil, fmt.Errorf("ask %q of %s: connection ended: %w", line, addr, errors.Join(s.Err(), errNoAnswer))
		}
		word, _, _ := strings.Cut(s.Text(), " ")
		switch {
		case word == "END":
			return lines, nil
		case word == "STAT", word == "VALUE", len(lines) > 0:
			lines = append(lines, s.Text())
		default:
			return []string{s.Text()}, nil
		}
	}
}

var errNoAnswer = errors.New("no complete answer")

// Stats asks for `stats ARG` and returns the values by name.
func Stats(ctx context.Context, addr, arg string) (map[string]string, error) {
	lines, err := Ask(ctx, addr, strings.TrimSpace("stats "+arg))
	if err != nil {
		return nil, err
	}
	stats := make(map[string]string, len(lines))
	for _, line := range lines {
		rest, isStat := strings.CutPrefix(line, "STAT ")
		name, value, _ := strings.Cut(rest, " ")
		if !isStat {
			return nil, fmt.Errorf("stats %s of %s: %q", arg, addr, line)
		}
		stats[name] = value
	}
	return stats, nil
}

// AskRaftStats returns the answer of a server to `stats raft`.
func AskRaftStats(ctx context.Context, addr string) (RaftStats, error) {
	stats, err := Stats(ctx, addr, "raft")
	if err != nil {
		return RaftStats{}, err
	}
	r := RaftStats{State: stats["raft_state"], Digest: stats["state_digest"]}
	for _, field := range []struct {
		name string
		dst  *int
	}{{"raft_id", &r.ID}, {"raft_leader_id", &r.LeaderID}} {
		if *field.dst, err = strconv.Atoi(stats[field.name]); err != nil {
			return RaftStats{}, fmt.Errorf("%s of %s: %w", field.name, addr, err)
		}
	}
	for _, field := range []struct {
		name string
		dst  *uint64
	}{
		{"raft_term", &r.Term},
		{"raft_commit_index", &r.Commit},
		{"raft_applied_index", &r.Applied},
		{"raft_last_log_index", &r.LastLog},
	} {
		if *field.dst, err = strconv.ParseUint(stats[field.name], 10, 64); err != nil {
			return RaftStats{}, fmt.Errorf("%s of %s: %w", field.name, addr, err)
		}
	}
	for peer := range strings.SplitSeq(stats["raft_peers"], ",") {
		if id, err := strconv.Atoi(strings.TrimSpace(peer)); err == nil {
			r.Peers = append(r.Peers, id)
		}
	}
	return r, nil
}
