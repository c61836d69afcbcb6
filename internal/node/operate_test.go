package node

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
)

// TestOperations go through any server. What a request leaves out is as it was, or as at
// the server that is asked; what cannot be is refused for good.
func TestOperations(t *testing.T) {
	nodes := openClusterWith(t, func(*Config) {})
	leader, follower := awaitLeader(t, nodes)
	n := adminNode{follower}
	id := func(i int) *int { return &i }
	port := follower.cfg.Servers[0].LogPort
	for _, c := range []struct {
		operation string
		request   admin.MemberRequest
		refused   string // or it is done
	}{
		{admin.MemberAdd, admin.MemberRequest{ID: id(3)}, "say where server 3 is to run: its host is missing"},
		{admin.MemberAdd, admin.MemberRequest{ID: id(-3), Host: "h"}, "id -3 of a server is out of range: 0 to 2147483647"},
		{admin.MemberAdd, admin.MemberRequest{ID: id(3), Host: "h", Port: 70000}, "a port is out of range: 1 to 65535"},
		{admin.MemberAdd, admin.MemberRequest{ID: id(3), Host: strings.Repeat("h", 256)}, "a host of 256 bytes is too long: at most 255"},
		{admin.MemberAdd, admin.MemberRequest{ID: id(3), Host: "h", Learner: true}, ""},
		{admin.MemberAdd, admin.MemberRequest{ID: id(3), Host: "h"}, "server 3 is a member already: choose another id, or replace or remove that one"},
		{admin.MemberMove, admin.MemberRequest{ID: id(3), Host: "i", LogPort: port}, ""},
		{admin.MemberMove, admin.MemberRequest{ID: id(3), Host: "127.0.0.1"}, fmt.Sprintf("127.0.0.1:%d is the address of server %d: give server 3 another host or other ports", port, 0)},
		{admin.MemberAdd, admin.MemberRequest{ID: id(4), Host: "10.0.0.4:11211"}, `host "10.0.0.4:11211" is not a name or an address: write it like 10.0.0.4, and the ports for themselves`},
		{admin.MemberMove, admin.MemberRequest{ID: id(9), Host: "i"}, "server 9 is no member"},
		{admin.MemberPromote, admin.MemberRequest{ID: id(3)}, "server 3 is no learner"},
		{admin.MemberTransfer, admin.MemberRequest{ID: id(3)}, "server 3 is no member, or its data folder is awaited"},
		{admin.MemberRemove, admin.MemberRequest{ID: id(3)}, ""},
		{admin.MemberTransfer, admin.MemberRequest{ID: &follower.cfg.ServerID}, ""},
		{admin.MemberTransfer, admin.MemberRequest{}, ""},
	} {
		err := n.Operate(t.Context(), c.operation, &c.request)
		var refusal *admin.RefusedError
		switch {
		case c.refused == "" && err != nil:
			t.Errorf("%s: %v", c.operation, err)
		case c.refused != "" && (!errors.As(err, &refusal) || refusal.Reason != c.refused):
			t.Errorf("%s %+v: %v, want %q", c.operation, c.request, err, c.refused)
		}
		list, err := n.Members(t.Context())
		must(t, err)
		if len(list.Members) == 4 {
			m := list.Members[3]
			if m.ID != 3 || m.Folder != "" || !m.Stays || m.Port != 1+follower.cfg.ServerID || m.LogPort == 0 {
				t.Errorf("after %s server 3 is %+v", c.operation, m)
			}
		}
	}
	if s, known := follower.Leader(); !known || s == follower.cfg.ServerID {
		t.Errorf("server %d leads, known: %v, after leadership was moved to server %d and away", s, known, follower.cfg.ServerID)
	}
	list, err := n.Members(t.Context())
	if must(t, err); list.Version != 3 || len(list.Members) != 3 || len(list.Members[0].Folder) != 32 || list.Members[leader.cfg.ServerID].Host != "127.0.0.1" {
		t.Errorf("the members are %+v", list)
	}
}

// TestOperationsWithoutMajority fail at once, and say what helps.
func TestOperationsWithoutMajority(t *testing.T) {
	nodes := openCluster(t)
	awaitLeader(t, nodes)
	must(t, nodes[0].Close())
	must(t, nodes[1].Close())
	begin := time.Now()
	err := adminNode{nodes[2]}.Operate(t.Context(), admin.MemberMove, &admin.MemberRequest{ID: new(0), Host: "h"})
	if err == nil || !strings.Contains(err.Error(), "start those that are down; if they are lost for good, see `raftcachectl recover`") {
		t.Errorf("it fails with %v", err)
	}
	if took := time.Since(begin); took > operatePatience/2 {
		t.Errorf("it fails after %v", took)
	}
}

// TestLoneServerAwaitsNobody: without a port for the others none could come in.
func TestLoneServerAwaitsNobody(t *testing.T) {
	n := openNode(t, loneConfig(t))
	err := adminNode{n}.Operate(t.Context(), admin.MemberAdd, &admin.MemberRequest{ID: new(1), Host: "h", LogPort: 2})
	if err == nil || !strings.HasPrefix(err.Error(), "this server is alone and has no port for other servers: start it with a server.json") {
		t.Errorf("it says %v", err)
	}
}
