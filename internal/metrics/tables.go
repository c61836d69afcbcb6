package metrics

import (
	"runtime"
	"strconv"

	"raftcached/internal/handshake"
)

var general = []metric[Sample]{
	gauge("build_info", "The program; always 1.", []string{"version", "go"}, func(s *Sample, tell func(float64, ...string)) {
		tell(1, s.Version, runtime.Version())
	}),
	gauge("server_id", "The id of this server in server.json.", nil, one(func(s *Sample) float64 { return float64(s.Server) })),
	gauge("up", "Whether the server serves clients.", nil, one(func(s *Sample) float64 { return truth(s.Serves != nil) })),

	counter("tls_handshakes_total", "Handshakes of TLS that have succeeded, at the log port as dialer too.", []string{"port"}, func(s *Sample, tell func(float64, ...string)) {
		for i := range s.TLS {
			tell(float64(s.TLS[i].Handshakes.Done), s.TLS[i].Name)
		}
	}),
	counter("tls_handshake_failures_total", "Those that have failed.", []string{"port", "reason"}, func(s *Sample, tell func(float64, ...string)) {
		for i := range s.TLS {
			for reason, failed := range s.TLS[i].Handshakes.Failed {
				tell(float64(failed), s.TLS[i].Name, handshake.Reason(reason).String())
			}
		}
	}),
	gauge("certificate_not_after_timestamp_seconds", "Until when the certificate of a port is valid.", []string{"port"}, func(s *Sample, tell func(float64, ...string)) {
		for i := range s.TLS {
			tell(float64(s.TLS[i].NotAfter.Unix()), s.TLS[i].Name)
		}
	}),
	gauge("certificate_authority_not_after_timestamp_seconds", "When the first of the authorities that a port believes expires; those that have expired do not count.", []string{"port"}, func(s *Sample, tell func(float64, ...string)) {
		for i := range s.TLS {
			if until := s.TLS[i].AuthorityNotAfter; !until.IsZero() {
				tell(float64(until.Unix()), s.TLS[i].Name)
			}
		}
	}),
	counter("certificate_reloads_total", "How often the files of a port's certificate were read again; the log and the admin port share theirs.", []string{"port", "status"}, func(s *Sample, tell func(float64, ...string)) {
		for i := range s.TLS {
			tell(float64(s.TLS[i].Reloads), s.TLS[i].Name, "ok")
			tell(float64(s.TLS[i].ReloadsFailed), s.TLS[i].Name, "failed")
		}
	}),
}

// commands are the counts of commands by their outcome, as memcached_exporter has them.
var commands = []struct{ command, status, stat string }{
	{"get", "hit", "get_hits"},
	{"get", "miss", "get_misses"},
	{"set", "hit", "cmd_set"},
	{"delete", "hit", "delete_hits"},
	{"delete", "miss", "delete_misses"},
	{"incr", "hit", "incr_hits"},
	{"incr", "miss", "incr_misses"},
	{"decr", "hit", "decr_hits"},
	{"decr", "miss", "decr_misses"},
	{"touch", "hit", "touch_hits"},
	{"touch", "miss", "touch_misses"},
	{"cas", "hit", "cas_hits"},
	{"cas", "miss", "cas_misses"},
	{"cas", "badval", "cas_badval"},
	{"flush", "hit", "cmd_flush"},
	{"meta", "hit", "cmd_meta"},
	{"auth", "hit", "auth_cmds"},
	{"auth", "miss", "auth_errors"},
}

// ways are the counts of keys by how it was known that what was read is not outdated.
var ways = []struct{ way, stat string }{
	{"lease", "reads_leased"},
	{"lease_after_change", "reads_waited"},
	{"majority", "reads_confirmed"},
	{"behind_writes", "reads_behind_writes"},
}

// The states of which one is 1.
var (
	roles    = []string{"leader", "follower", "candidate", "learner"}
	verdicts = []string{"ok", "repairing", "no-majority"}
	settings = []string{"off", "leader", "all"}
	refusals = []string{"none", "disk full", "disk stalled"}
)

// count is the values of a counter that plain stats have too.
func count(stat string) func(*Served, func(float64, ...string)) {
	return one(func(s *Served) float64 { return float64(s.Counts[stat]) })
}

var served = []metric[Served]{
	counter("commands_total", "Requests by command and outcome.", []string{"command", "status"}, func(s *Served, tell func(float64, ...string)) {
		for _, c := range commands {
			n := float64(s.Counts[c.stat])
			if c.stat == "cmd_set" { // it counts cas too, as memcached's does; they are read later
				n = max(0, n-float64(s.Counts["cas_hits"]+s.Counts["cas_misses"]+s.Counts["cas_badval"]))
			}
			tell(n, c.command, c.status)
		}
	}),
	counter("reads_total", "Keys that were read, by how the server knew that they are not outdated.", []string{"way"}, func(s *Served, tell func(float64, ...string)) {
		for _, w := range ways {
			tell(float64(s.Counts[w.stat]), w.way)
		}
	}),
	counter("read_bytes_total", "Bytes that clients have sent.", nil, count("bytes_read")),
	counter("written_bytes_total", "Bytes that were sent to clients.", nil, count("bytes_written")),
	counter("store_too_large_total", "Stores of items that are too large.", nil, count("store_too_large")),
	counter("store_no_memory_total", "Stores without room.", nil, count("store_no_memory")),

	counter("slow_commands_total", "Commands that took as long as slowMs, and were not answered at once.", nil, one(func(s *Served) float64 { return float64(s.Slow) })),

	gauge("current_connections", "Open connections of clients.", nil, one(func(s *Served) float64 { return float64(s.Conns.Open) })),
	gauge("max_connections", "How many there may be.", nil, one(func(s *Served) float64 { return float64(s.ConnsMax) })),
	counter("connections_total", "Connections that were accepted.", nil, one(func(s *Served) float64 { return float64(s.Conns.Accepted) })),
	counter("connections_rejected_total", "Connections beyond the limit.", nil, one(func(s *Served) float64 { return float64(s.Conns.Refused) })),

	gauge("current_items", "Items in the cache.", nil, one(func(s *Served) float64 { return float64(s.Cache.Items) })),
	counter("items_total", "Items that were stored.", nil, one(func(s *Served) float64 { return float64(s.Cache.TotalItems) })),
	gauge("current_bytes", "Memory that the items are charged for.", nil, one(func(s *Served) float64 { return float64(s.Cache.Bytes) })),
	gauge("limit_bytes", "Memory that they may be charged for.", nil, one(func(s *Served) float64 { return float64(s.Cache.LimitBytes) })),
	counter("items_evicted_total", "Items that were evicted.", nil, one(func(s *Served) float64 { return float64(s.Cache.Evictions) })),
	counter("items_evicted_unfetched_total", "Of them, those that nobody had read.", nil, one(func(s *Served) float64 { return float64(s.Cache.EvictedUnfetched) })),
	counter("items_reclaimed_total", "Items that have expired.", nil, one(func(s *Served) float64 { return float64(s.Cache.Reclaimed) })),
	counter("items_expired_unfetched_total", "Of them, those that nobody had read.", nil, one(func(s *Served) float64 { return float64(s.Cache.ExpiredUnfetched) })),

	gauge("raft_role", "1 for what the server is.", []string{"role"}, oneOf(roles, func(s *Served) string { return s.Role })),
	gauge("raft_has_leader", "Whether the server knows a leader.", nil, one(func(s *Served) float64 { return truth(s.HasLeader) })),
	counter("raft_leader_changes_total", "Leaders that the server has seen come.", nil, one(func(s *Served) float64 { return float64(s.LeaderChanges) })),
	gauge("raft_term", "The term.", nil, one(func(s *Served) float64 { return float64(s.Term) })),
	gauge("raft_commit_index", "The last entry that is committed as far as the server knows.", nil, one(func(s *Served) float64 { return float64(s.CommitIndex) })),
	gauge("raft_applied_index", "The last entry that it has applied.", nil, one(func(s *Served) float64 { return float64(s.Applied) })),
	gauge("raft_last_log_index", "The last entry of its log.", nil, one(func(s *Served) float64 { return float64(s.LastLog) })),
	gauge("state_verdict", "1 for what a comparison of the servers' states has found.", []string{"verdict"}, oneOf(verdicts, func(s *Served) string { return s.Verdict })),
	gauge("writes_refused", "1 for why writes are refused; none is 1 if they are not.", []string{"reason"}, oneOf(refusals, func(s *Served) string { return s.Refuses })),

	gauge("cluster_version", "What all servers can do.", nil, one(func(s *Served) float64 { return float64(s.ClusterVersion) })),
	gauge("cluster_version_max", "What this one tells the others that it can.", nil, one(func(s *Served) float64 { return float64(s.ClusterVersionMax) })),

	gauge("leases", "1 for the cluster's setting.", []string{"setting"}, oneOf(settings, func(s *Served) string { return s.Leases })),
	gauge("lease", "Whether the server may answer reads by a lease.", nil, one(func(s *Served) float64 { return truth(s.Lease) })),
	gauge("lease_holders", "At the leader: other servers that may.", nil, one(func(s *Served) float64 { return float64(s.LeaseHolders) })),
	counter("lease_waits_total", "At the leader: how often a write has waited for one of them.", nil, one(func(s *Served) float64 { return float64(s.Waits) })),
	counter("lease_wait_seconds_total", "How long in all.", nil, one(func(s *Served) float64 { return s.Waited.Seconds() })),
	gauge("lease_wait_max_seconds", "How long at most.", nil, one(func(s *Served) float64 { return s.WaitedMax.Seconds() })),
	gauge("log_time_ahead_seconds", "How far the cluster's time is ahead of the wall clocks of most servers.", nil, one(func(s *Served) float64 { return s.TimeAhead.Seconds() })),

	gauge("voters", "Servers with a vote.", nil, one(func(s *Served) float64 { return float64(s.Voters) })),
	gauge("voters_majority", "How many of them are a majority.", nil, one(func(s *Served) float64 { return float64(s.Majority) })),
	gauge("voters_reachable", "How many of them the server reaches, itself included.", nil, one(func(s *Served) float64 { return float64(s.Reachable) })),
	gauge("server_reachable", "Whether the server reaches another one, or is it.", []string{"server"}, func(s *Served, tell func(float64, ...string)) {
		for _, o := range s.Servers {
			tell(truth(o.Reachable), strconv.Itoa(o.ID))
		}
	}),
}

var onDisk = []metric[Disk]{
	gauge("disk_free_bytes", "Free on the disk of the data folder.", nil, one(func(d *Disk) float64 { return float64(d.Free) })),
	gauge("disk_reserve_bytes", "With less the server gives up leadership, and a majority refuses writes.", nil, one(func(d *Disk) float64 { return float64(d.Reserve) })),
	gauge("log_bytes", "What the raft log takes.", nil, one(func(d *Disk) float64 { return float64(d.Log) })),
	gauge("log_limit_bytes", "What it takes at most.", nil, one(func(d *Disk) float64 { return float64(d.LogMax) })),
}
