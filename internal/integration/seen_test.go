package integration

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"raftcached/internal/admin"
	"raftcached/internal/cluster"
	"raftcached/internal/testclient"
)

// TestSlowCommandsTellWhy: a write that waits for an election is kept as a slow one, whose
// cause is that there was no leader; raftcachectl and the admin port tell it.
func TestSlowCommandsTellWhy(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{Settings: map[string]any{"slowMs": 50, "electionTicks": 40, "requestTimeoutMs": 30_000}})
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	follower := followersOf(c, leader)[0]
	client := testclient.Dial(t, follower.ClientAddr)
	client.Send("set before 0 0 1", "x")
	client.Expect("STORED")
	must(t, leader.Kill())
	client.Send("set cart%9 0 0 1", "x")
	client.Expect("STORED")
	ctl := ctlOf(ctx, t, c)
	var slow *admin.SlowCommand
	must(t, cluster.Await(ctx, func() error {
		code, out, errs := ctl("slow", "-o", "json", "-s", follower.AdminAddr)
		var told []admin.SlowCommands
		if err := json.Unmarshal([]byte(out), &told); code != 0 || err != nil {
			return fmt.Errorf("exit code %d, %w, %s", code, err, errs)
		}
		for _, s := range told {
			for i := range s.Commands {
				if s.ID == follower.ID && s.Commands[i].Key == "cart%259" {
					slow = &s.Commands[i]
					return nil
				}
			}
		}
		return fmt.Errorf("no slow command: %s", out)
	}))
	if slow.Command != "set" || slow.Ms < 50 || slow.Causes["leader"] < slow.Ms/4 || slow.Causes["leader"] > slow.Ms {
		t.Errorf("slow is %+v", slow)
	}
	if code, out, _ := ctl("slow"); code != 0 || !strings.Contains(out, "leader ") || !strings.Contains(out, "cart%259") {
		t.Errorf("raftcachectl slow: %d\n%s", code, out)
	}
	if stats := testclient.Dial(t, follower.ClientAddr).Stats("slow"); stats["slow_time_us"] != "50000" || stats["slow_commands"] == "0" {
		t.Errorf("stats slow: %v", stats)
	}
}

// TestHotKeysOfACluster: the key that clients of two servers ask for is told, once.
func TestHotKeysOfACluster(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	const gets = 20_000
	for _, s := range c.Servers[:2] {
		client := testclient.Dial(t, s.ClientAddr)
		for range gets / 1000 {
			client.Send(strings.Repeat("mg hot v\r\n", 1000) + "mn")
			for line := ""; line != "MN"; {
				line = client.ReadLine()
			}
		}
	}
	ctl := ctlOf(ctx, t, c)
	must(t, cluster.Await(ctx, func() error {
		code, out, errs := ctl("hotkeys")
		lines := strings.Split(strings.TrimSpace(out), "\n")
		if code != 0 || len(lines) != 2 {
			return fmt.Errorf("exit code %d, %s %s", code, out, errs)
		}
		if words := strings.Fields(lines[1]); len(words) != 4 || words[2] != "0,1" || words[3] != "hot" {
			return fmt.Errorf("hot is %q", lines[1])
		}
		return nil
	}))
}
