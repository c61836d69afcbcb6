package node

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/settings"
)

// TestClusterVersionRisesWhenNobodyHoldsItBack: three nodes can do version 2, and an operator
// keeps one from telling so, until it is started without that. Then all have it, say so, and
// a program that does not know it does not start, with words that help.
func TestClusterVersionRisesWhenNobodyHoldsItBack(t *testing.T) {
	var logged warnings
	configs := make([]Config, 3)
	nodes := openClusterWith(t, func(cfg *Config) {
		cfg.known = 2
		if cfg.ServerID == 0 {
			cfg.ClusterVersionMax, cfg.Logger = 1, slog.New(slog.NewTextHandler(&logged, nil))
		}
		configs[cfg.ServerID] = *cfg
		configs[cfg.ServerID].PeerListener = nil
	})
	status := func(n *Node) admin.Status { return adminNode{n}.Status(t.Context()) }
	is := func(s admin.Status, version, most uint64) bool {
		return s.ClusterVersion == version && s.ClusterVersionKnown == 2 && s.ClusterVersionMax == most
	}
	if s := status(nodes[0]); !is(s, 1, 1) || !is(status(nodes[1]), 1, 2) {
		t.Errorf("at first server 0 says %d, %d, %d", s.ClusterVersion, s.ClusterVersionKnown, s.ClusterVersionMax)
	}
	must(t, nodes[0].Close())
	if got := logged.String(); !strings.Contains(got, "the cluster version does not rise above 1 as long as clusterVersionMax says so") || strings.Contains(got, "from now on") {
		t.Errorf("server 0 has logged %s", got)
	}
	configs[0].ClusterVersionMax = 0
	nodes[0] = openNode(t, configs[0])
	for _, n := range nodes {
		await(t, "version 2", func() bool { return is(status(n), 2, 2) })
	}
	if got := dial(t, nodes[1]).Stats("raft"); got["cluster_version"] != "2" || got["cluster_version_known"] != "2" || got["cluster_version_max"] != "2" {
		t.Errorf("stats say %v", got)
	}
	await(t, "settled members", func() bool { return nodes[0].members().Settled })
	must(t, nodes[0].Close())
	if got := logged.String(); !strings.Contains(got, "the cluster version is 2 from now on") {
		t.Errorf("server 0 has logged %s", got)
	}

	older := configs[0]
	older.known = 1
	_, err := Open(t.Context(), older)
	if configError := new(settings.Error); !errors.As(err, &configError) || !strings.Contains(err.Error(), "the cluster has version 2, this program knows 1: run a newer raftcached") {
		t.Errorf("an older program: %v", err)
	}
	held := configs[0]
	held.ClusterVersionMax, held.RequestTimeout = 1, time.Second
	n := openNode(t, held)
	if s := status(n); !is(s, 2, 1) || !strings.Contains(logged.String(), "clusterVersionMax 1 has no effect: the cluster has version 2 already") {
		t.Errorf("held back too late: %d, %d, %d; logged %s", s.ClusterVersion, s.ClusterVersionKnown, s.ClusterVersionMax, logged.String())
	}
}
