//go:build linux

package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"time"

	"github.com/lni/dragonboat/v4"
	"github.com/lni/dragonboat/v4/config"
	"github.com/lni/dragonboat/v4/logger"
	"github.com/lni/dragonboat/v4/plugin/tan"
	"github.com/lni/dragonboat/v4/statemachine"

	"raftcached"
	"raftcached/internal/cluster"
	"raftcached/raftcachedtest"
)

// openRaftcached opens three nodes in this process, with their files in a folder of the
// disk, and returns the client of the leader.
func openRaftcached(dir string) (setter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := raftcachedtest.New(ctx, 3, func(cfg *raftcached.Config) {
		cfg.MemoryDisk, cfg.DataDir = nil, filepath.Join(dir, fmt.Sprint(cfg.ServerID))
		cfg.MemoryLimitBytes = memoryMiB << 20
	})
	if err != nil {
		return nil, err
	}
	leader, err := c.Leader(ctx)
	if err != nil {
		return nil, err
	}
	client := c.Client(leader)
	return func(ctx context.Context, key string, value []byte) error {
		return client.Set(ctx, &raftcached.Item{Key: key, Value: value})
	}, nil
}

// The only shard of dragonboat's nodes, and how long a proposal may take.
const (
	shardID         = 1
	proposalTimeout = 10 * time.Second
)

// Dragonboat's clock, like ours: heartbeats every 100 ms, an election after a second.
const (
	rttMs        = 100
	electionRTT  = 10
	heartbeatRTT = 1
)

// openDragonboat opens three nodes of dragonboat in this process, with the tan log or
// with the default one in pebble, and returns a client at the leader.
func openDragonboat(withTan bool) func(dir string) (setter, error) {
	return func(dir string) (setter, error) {
		for _, name := range []string{"raft", "rsm", "transport", "dragonboat", "logdb", "raftpb", "config", "grpc", "order", "utils", "settings"} {
			logger.GetLogger(name).SetLevel(logger.ERROR)
		}
		members, err := freeAddrs(3)
		if err != nil {
			return nil, err
		}
		var hosts []*dragonboat.NodeHost
		for id := uint64(1); id <= 3; id++ {
			cfg := config.NodeHostConfig{
				NodeHostDir: filepath.Join(dir, fmt.Sprint(id)), RTTMillisecond: rttMs, RaftAddress: members[id],
			}
			if withTan {
				cfg.Expert.LogDBFactory = tan.Factory
			}
			host, err := dragonboat.NewNodeHost(cfg)
			if err != nil {
				return nil, err
			}
			err = host.StartReplica(members, false, newItems, config.Config{
				ReplicaID: id, ShardID: shardID, ElectionRTT: electionRTT, HeartbeatRTT: heartbeatRTT, CheckQuorum: true, PreVote: true,
			})
			if err != nil {
				return nil, err
			}
			hosts = append(hosts, host)
		}
		return leaderSetter(hosts)
	}
}

// freeAddrs returns addresses by replica ID from 1 on.
func freeAddrs(n int) (map[uint64]string, error) {
	addrs := map[uint64]string{}
	for id := 1; id <= n; id++ {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }() // the host listens there then
		addrs[uint64(id)] = l.Addr().String()
	}
	return addrs, nil
}

// leaderSetter waits until a shard has a leader, and returns a client there.
func leaderSetter(hosts []*dragonboat.NodeHost) (setter, error) {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	var leader *dragonboat.NodeHost
	err := cluster.Await(ctx, func() error {
		id, _, known, err := hosts[0].GetLeaderID(shardID)
		if err == nil && !known {
			err = errors.New("no leader")
		}
		if err == nil {
			leader = hosts[id-1]
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	session := leader.GetNoOPSession(shardID)
	return func(_ context.Context, key string, value []byte) error {
		command := binary.AppendUvarint(make([]byte, 0, 1+len(key)+len(value)), uint64(len(key)))
		command = append(append(command, key...), value...)
		request, err := leader.Propose(session, command, proposalTimeout)
		if err != nil {
			return err
		}
		defer request.Release()
		if result := <-request.ResultC(); !result.Completed() {
			return errors.New("the proposal was not completed")
		}
		return nil
	}, nil
}

// items is the state of dragonboat's replicas: a map.
type items struct{ values map[string][]byte }

func newItems(_, _ uint64) statemachine.IStateMachine {
	return &items{values: map[string][]byte{}}
}

// Update sets an item.
func (i *items) Update(e statemachine.Entry) (statemachine.Result, error) {
	n, at := binary.Uvarint(e.Cmd)
	if at <= 0 || n > uint64(len(e.Cmd)-at) {
		return statemachine.Result{}, fmt.Errorf("apply entry %d: %q is no item", e.Index, e.Cmd)
	}
	key, value := e.Cmd[at:at+int(n)], e.Cmd[at+int(n):]
	i.values[string(key)] = append(i.values[string(key)][:0], value...)
	return statemachine.Result{Value: 1}, nil
}

// Lookup returns the value of a key.
func (i *items) Lookup(key any) (any, error) {
	name, isString := key.(string)
	if !isString {
		return nil, fmt.Errorf("look up %v: no key", key)
	}
	return i.values[name], nil
}

// errNoSnapshots: runs are too short for them, and replicas are not asked for any.
var errNoSnapshots = errors.New("the items keep no snapshots")

// SaveSnapshot is not called.
func (i *items) SaveSnapshot(io.Writer, statemachine.ISnapshotFileCollection, <-chan struct{}) error {
	return errNoSnapshots
}

// RecoverFromSnapshot is not called.
func (i *items) RecoverFromSnapshot(io.Reader, []statemachine.SnapshotFile, <-chan struct{}) error {
	return errNoSnapshots
}

// Close does nothing.
func (i *items) Close() error { return nil }
