package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"raftcached/internal/cluster"
)

// listedServer is an entry of server.json.
type listedServer struct {
	ID         int    `json:"id"`
	Host       string `json:"host"`
	ClientPort int    `json:"clientPort"`
	LogPort    int    `json:"logPort"`
	AdminPort  int    `json:"adminPort,omitempty"`
}

// editServers changes the servers that server.json lists.
func editServers(t *testing.T, c *cluster.Cluster, edit func([]listedServer) []listedServer) {
	t.Helper()
	text, err := os.ReadFile(c.Config)
	must(t, err)
	var config map[string]json.RawMessage
	must(t, json.Unmarshal(text, &config))
	var servers []listedServer
	must(t, json.Unmarshal(config["servers"], &servers))
	config["servers"], err = json.Marshal(edit(servers))
	must(t, err)
	text, err = json.Marshal(config)
	must(t, err)
	must(t, os.WriteFile(c.Config, text, 0o644))
}

// TestAnotherListOfServers: a formed cluster starts whatever server.json lists. A server
// listens where that says, and names the commands that make it true. Once it is, the
// others find the server there, also after all were killed.
func TestAnotherListOfServers(t *testing.T) {
	t.Parallel()
	ctx, c := startCluster(t, cluster.Options{})
	victim, leader, _ := victimOf(ctx, t, c)
	fill(t, leader, "before")
	must(t, victim.Stop(ctx))
	var before listedServer
	editServers(t, c, func(servers []listedServer) []listedServer {
		before = servers[victim.ID]
		servers[victim.ID].LogPort += 1000
		return append(servers, listedServer{ID: 7, Host: "h", ClientPort: 1, LogPort: 2})
	})
	must(t, victim.Start())
	awaitLog(ctx, t, victim, fmt.Sprintf("the other servers look for this one at %s:%d", before.Host, before.LogPort))
	awaitLog(ctx, t, victim, fmt.Sprintf("run `raftcachectl member move %d --host %s --port %d --log-port %d`",
		victim.ID, before.Host, before.ClientPort, before.LogPort+1000))
	awaitLog(ctx, t, victim, "server 7 is listed and is no member of the cluster: to add it, run `raftcachectl member add 7")
	fill(t, leader, "meanwhile") // nobody waits for it
	ctl := ctlOf(ctx, t, c)
	awaitExit(ctx, t, ctl, 0, "member", "move", strconv.Itoa(victim.ID), "--log-port", strconv.Itoa(before.LogPort+1000), "--server", leader.AdminAddr)
	must(t, victim.AwaitReady(ctx))
	wantFilled(t, victim, "before", "meanwhile")
	for _, s := range c.Servers {
		must(t, awaitStats(ctx, s.ClientAddr, "cluster", map[string]string{
			fmt.Sprintf("server:%d:log_address", victim.ID): fmt.Sprintf("%s:%d", before.Host, before.LogPort+1000),
			"servers_reachable":                             "3",
		}))
	}

	// They find each other there when all start again, before anybody has read its log:
	// and the list that the others were started with is not true any more.
	for _, s := range c.Servers {
		must(t, s.Kill())
	}
	for _, s := range c.Servers {
		must(t, s.Start())
	}
	must(t, c.AwaitReady(ctx))
	wantFilled(t, victim, "before", "meanwhile")
}
