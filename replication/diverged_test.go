package replication

import (
	"log/slog"
	"testing"

	"raftcached/replication/disk/disktest"
	"raftcached/replication/wal"

	pb "go.etcd.io/raft/v3/raftpb"
)

// TestStartAfterQuarantine starts a node whose own snapshot is of an index before,
// at and after the one at which its state was put in quarantine. Only a later
// snapshot is certainly of a repaired state.
func TestStartAfterQuarantine(t *testing.T) {
	const frozen = 4
	for own, want := range map[int]Verdict{frozen - 1: VerdictRepairing, frozen: VerdictRepairing, frozen + 1: VerdictOK} {
		snapshots, _ := storeOf(t, own)
		diverged, _ := storeOf(t, frozen)
		w, err := wal.Open(disktest.NewCrashable(), "wal", wal.Options{Bootstrap: &pb.ConfState{Voters: []uint64{1, 2, 3}}})
		if err != nil {
			t.Fatal(err)
		}
		log := simLog{w}
		hs := &pb.HardState{Term: new(uint64(1)), Vote: new(uint64(1)), Commit: new(uint64(frozen + 1))}
		if err := log.Save(hs, letters(1, frozen+1).GetEntries(), nil, true); err != nil {
			t.Fatal(err)
		}
		m, err := newMachine(&ReplicaConfig{
			ID: 1, Formed: formed(3), Boot: 2, Loops: 1, Log: log, Snapshots: snapshots, Diverged: diverged,
			Machine: &textMachine{}, ElectionTicks: 20, HeartbeatTicks: 3, Logger: slog.New(slog.DiscardHandler),
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := m.core.Status().Verdict; got != want || m.applier.st.index != uint64(own) {
			t.Errorf("own snapshot at %d, frozen at %d: verdict %v at index %d, want %v", own, frozen, got, m.applier.st.index, want)
		}
	}
}
