package node

import (
	"errors"
	"log/slog"
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
)

// TestLeasesOfAClusterAreSwitched at any server, while it runs. All have them, say so, and
// keep them over a start, whatever they are configured with.
func TestLeasesOfAClusterAreSwitched(t *testing.T) {
	var logged warnings
	configs := make([]Config, 3)
	nodes := openClusterWith(t, func(cfg *Config) {
		if cfg.ServerID == 0 {
			cfg.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		}
		configs[cfg.ServerID] = *cfg
	})
	leader, follower := awaitLeader(t, nodes)
	status := func(n *Node) admin.Status { return adminNode{n}.Status(t.Context()) }
	if s := status(follower); s.Leases != "off" || s.Lease != admin.LeaseOff {
		t.Errorf("at first leases are %q, a follower has %q", s.Leases, s.Lease)
	}
	err := adminNode{follower}.Operate(t.Context(), admin.MemberLeases, &admin.MemberRequest{Leases: "some"})
	if refusal := new(admin.RefusedError); !errors.As(err, &refusal) || refusal.Reason != `leases "some" are unknown: say off, leader or all` {
		t.Errorf("unknown leases: %v", err)
	}
	must(t, adminNode{follower}.Operate(t.Context(), admin.MemberLeases, &admin.MemberRequest{Leases: "all"}))
	await(t, "lease of the leader", func() bool { return status(leader).Lease == admin.LeaseLeader })
	c := dial(t, follower)
	await(t, "lease of a follower that clients read at", func() bool {
		c.Send("get k")
		c.Expect("END")
		return status(follower).Lease == admin.LeaseHolder && count(t, c, "reads_leased") > 0
	})
	if got := c.Stats("raft")["leases"]; got != "all" {
		t.Errorf("stats say that leases are %q", got)
	}
	must(t, adminNode{leader}.Operate(t.Context(), admin.MemberLeases, &admin.MemberRequest{Leases: "leader"}))
	await(t, "end of the follower's lease", func() bool { return status(follower).Lease == admin.LeaseNone })

	for _, n := range nodes {
		must(t, n.Close())
	}
	if got := logged.String(); !strings.Contains(got, "leases are all from now on") || !strings.Contains(got, "leases are leader from now on") {
		t.Errorf("server 0 has logged %s", got)
	}
	configs[0].RequestTimeout = time.Second // for as long it waits for a leader
	started := openNode(t, alone(configs[0]))
	if got := started.leases(); got != "leader" {
		t.Errorf("after a start leases are %q", got)
	}
	if got := logged.String(); strings.Count(got, "the configured leases have no effect: change those of the cluster with `raftcachectl leases`") != 1 || strings.Contains(got, "from now on") {
		t.Errorf("at its start server 0 has logged %s", got)
	}
}

// alone is the configuration of a node that is started again, on a port of its own.
func alone(cfg Config) Config {
	cfg.PeerListener = nil
	return cfg
}
