package replication

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// ReplicaConfig is what a Replica needs.
type ReplicaConfig struct {
	ID     uint64   // raft id of this node
	Formed []Member // the members that formed the cluster: how every log begins
	Boot   uint64   // boot number of this start, never used before
	Loops  int      // event loops of this node

	Log       Log
	Snapshots Snapshots
	Diverged  Snapshots // images of states that were replaced, for inspection
	Transport Transport // nil for a sole voter
	Machine   StateMachine
	Clients   []Client // one for each event loop

	Tick                          time.Duration
	ElectionTicks, HeartbeatTicks int
	RequestTimeout                time.Duration
	Leases                        Leases // as the cluster was formed

	// KnownVersion is the highest cluster version that this program knows; 0:
	// ClusterVersionKnown. It ends when it finds a higher one. VersionMax is the highest one
	// that it is to tell the others that it can do, so that the cluster version does not
	// rise beyond it; 0: KnownVersion.
	KnownVersion, VersionMax uint64

	// LogRetainBytes is about how much of the log stays on disk, or the size of
	// the state if that is more. A snapshot is taken after each half of it.
	LogRetainBytes int64

	Wall func() time.Time // the wall clock; nil: time.Now

	// Yield lets others run, as runtime.Gosched does, and also those that Go's poller has
	// input for; nil: runtime.Gosched. The append worker of a sole voter calls it.
	Yield func()

	Logger *slog.Logger

	// ServerID returns what a node is called in the log; nil: its raft id. Changed, if
	// set, is called when the leader, the term or the role changes, on the raft loop.
	ServerID func(raftID uint64) int
	Changed  func(Status)

	// Follow, if set, is called with the members as they are restored, before
	// StartReplica returns, and then on the append worker whenever they change, once the
	// log says so durably. It must not block: nothing is acknowledged meanwhile.
	Follow func(*Membership)

	// What tests make smaller, or wrong; zero for the default.
	digestEvery   uint64
	partBytes     int
	promoteLagMax uint64
	bugs          bugs
}

// machine is a node without its goroutines: a step machine for each of them. What
// one has for another leaves it as an effect and reaches the other as an input.
// Replica carries the effects out in production, the simulation does in tests.
// See doc.go for what goes where.
type machine struct {
	core     *Core
	appender *Appender
	applier  *Applier
	gate     *Gate

	committed uint64 // up to which the log says, at the start, that it is committed
}

// newMachine restores the state from the newest snapshot and returns the machine
// of a node.
func newMachine(cfg *ReplicaConfig) (*machine, error) {
	st := newState(cfg)
	if err := restoreNewest(cfg.Log, cfg.Snapshots, st, cfg.Logger); err != nil {
		return nil, err
	}
	hs, _, err := cfg.Log.InitialState()
	if err != nil {
		return nil, fmt.Errorf("read hard state: %w", err)
	}
	core, err := NewCore(Config{
		ID: cfg.ID, Members: st.members, Boot: cfg.Boot, Loops: cfg.Loops,
		Log:     storage{cfg.Log, cfg.Snapshots, st.members.Conf},
		Applied: st.index, StampMs: max(st.stampMs, cfg.Machine.TimeMs()), NextDueMs: cfg.Machine.NextDueMs, OffsetMs: cfg.Machine.OffsetMs, Correction: cfg.Machine.Correction, Formation: cfg.Machine.Formation,
		ElectionTicks: cfg.ElectionTicks, HeartbeatTicks: cfg.HeartbeatTicks,
		Tick: cfg.Tick, RequestTimeout: cfg.RequestTimeout, Leases: cfg.Leases, Version: cfg.version(),
		Logger: raftLogger{cfg.Logger}, promoteLagMax: cmp.Or(cfg.promoteLagMax, promoteLagMax), bugs: cfg.bugs,
	})
	if err != nil {
		return nil, err
	}
	m := &machine{
		core: core, appender: newAppender(cfg, hs), applier: newApplier(st, cfg),
		gate: newGate(cfg.Machine, cfg.Loops, st.index, core.lastIndex), committed: hs.GetCommit(),
	}
	m.gate.bugs = cfg.bugs
	return m, m.startInQuarantine(cfg, st.index)
}

// startInQuarantine goes on with a quarantine that the last stop interrupted.
func (m *machine) startInQuarantine(cfg *ReplicaConfig, index uint64) error {
	if cfg.Diverged == nil || m.core.members.sole(cfg.ID) {
		return nil
	}
	since, err := divergedSince(cfg.Diverged, index)
	if err != nil || !since {
		return err
	}
	m.core.StartInQuarantine()
	return nil
}

// storage completes a Log to what raft reads from.
type storage struct {
	Log
	snapshots Snapshots
	conf      *pb.ConfState // as of the restored state
}

// InitialState returns the log's hard state, and raft's configuration as of the
// restored state: raft asks for it once, at its start, and is told of what is
// applied from there on.
func (s storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	hs, _, err := s.Log.InitialState()
	return hs, s.conf, err
}

// Snapshot returns the newest snapshot. Its data is its size: the bytes travel
// on a stream of their own.
func (s storage) Snapshot() (*pb.Snapshot, error) {
	newest := s.snapshots.Newest()
	if newest == nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Metadata: newest}, nil
}
