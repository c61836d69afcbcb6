package ctl

import (
	"errors"
	"testing"
	"time"

	"raftcached/internal/offline"
	"raftcached/replication"
	"raftcached/replication/identity"
)

// TestFindings compares what recover says of a folder before it asks.
func TestFindings(t *testing.T) {
	f := &offline.Findings{
		ServerID: 2, Cluster: 0xa7e2521a3c8f9b10, Index: 1204511, Term: 4, Commit: 1204500, Snapshot: 1198002, RaftID: 3,
		Time: time.Date(2026, 11, 27, 1, 2, 3, 0, time.UTC), Items: 100000, Bytes: 61 << 20,
		Members: &replication.Membership{Members: []replication.Member{
			{ServerID: 0, RaftID: 1, Directory: replication.DirectoryID{1}, Host: "10.0.0.1"},
			{ServerID: 1, RaftID: 2, Directory: replication.DirectoryID{2}, Host: "10.0.0.2", Retired: true},
			{ServerID: 1, Host: "10.0.0.9", Learner: true},
			{ServerID: 2, RaftID: 3, Directory: replication.DirectoryID{3}, Host: "10.0.0.3"},
		}},
		Seen: identity.Memory{{DirectoryID: identity.DirectoryID{1}, Boot: 7}},
		Lost: 1204511,
	}
	golden(t, "recover", findingsText("/var/lib/raftcached", f))

	f.Commit, f.Snapshot, f.Lost, f.Diverged, f.Time = f.Index, 0, f.Index+9, true, time.Time{}
	f.Damage = []error{errors.New(`log segment "wal/0000000000000003.wal" is damaged at byte 842: a record is damaged that was synced`)}
	golden(t, "recover_damaged", findingsText("/var/lib/raftcached", f))
}
