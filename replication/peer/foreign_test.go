package peer

import (
	"errors"
	"strings"
	"testing"
	"time"

	"raftcached/replication/identity"
)

// ofAnother is the hello with which server 1 of another cluster, of three, looks for
// server 0.
func ofAnother(list []identity.Member) (identity.Cluster, *Hello) {
	for i := range list {
		list[i].DirectoryID = identity.DirectoryID{byte(i + 11)}
	}
	c := identity.NewCluster(testConstants, list)
	return c, &Hello{
		Versions:  ourVersions,
		ClusterID: c.ID, ServerID: 1, RaftID: 2, DirectoryID: list[1].DirectoryID, Lineage: lineage(1),
		Stream: StreamControl, Constants: testConstants, Members: list,
	}
}

// TestGiveWay: a lone server does not form a cluster of its own while another one looks
// for it with another folder. Once it has one it goes on, whoever looks for it.
func TestGiveWay(t *testing.T) {
	list := members(3)
	other, hello := ofAnother(list)
	lone := listen(t, list[:1], 0, func(c *Config) { c.LoneWait = time.Minute })
	done := make(chan error, 1)
	go func() {
		_, err := lone.form(t.Context())
		done <- err
	}()
	if err := shake(t, lone.Addr(), hello, ""); err == nil || !strings.Contains(err.Error(), "is not a member of any cluster yet") {
		t.Errorf("the other cluster's server is answered %v", err)
	}
	claimed, is := errors.AsType[*ClaimedError](<-done)
	if !is || claimed.Cluster != other.ID || len(claimed.Addrs) != 2 || claimed.Addrs[0] != address(list[1]) {
		t.Fatalf("the lone server forms: %+v", claimed)
	}
	must(t, lone.Close())

	lone = listen(t, list[:1], 0, nil)
	formAll(t, lone)
	if err := shake(t, lone.Addr(), hello, ""); err == nil || !strings.Contains(err.Error(), "do not mix data folders") {
		t.Errorf("the other cluster's server is answered %v", err)
	}
	select {
	case err := <-lone.inbox.excluded:
		t.Errorf("a server that is formed ends: %v", err)
	default:
	}
}

// TestLostClusterEnds: a server of a cluster that was lost ends when it meets the one
// that was recovered, or who came to that later.
func TestLostClusterEnds(t *testing.T) {
	list := members(3)
	lost, hello := ofAnother(list)
	recovered := listen(t, list[:1], 0, func(c *Config) { c.Lost = []uint64{lost.ID} })
	c := formAll(t, recovered)
	recovered.config.Admit = admitting(recovered, c, &[]Joiner{})
	third := listen(t, list, 2, nil)
	joined, err := join(t, third, list[:1])
	must(t, err)
	if len(joined.Lost) != 1 || joined.Lost[0] != lost.ID {
		t.Fatalf("who joins is told of lost clusters %x", joined.Lost)
	}
	must(t, third.Close())
	third = listen(t, list, 2, func(c *Config) { c.Lost = joined.Lost })
	third.take(joined)
	for _, n := range []*node{recovered, third} {
		err := shake(t, n.Addr(), hello, "")
		if _, is := errors.AsType[*OutdatedError](err); !is || !strings.Contains(err.Error(), "lost its majority and was recovered as cluster") {
			t.Errorf("a server of the lost cluster is answered %v", err)
		}
	}
}

// TestFolderOfAnotherClusterEnds: a folder that was put on a machine of another cluster
// finds that there. The others go on: it is only one of those where they look.
func TestFolderOfAnotherClusterEnds(t *testing.T) {
	list := members(3)
	a, b, c := listen(t, list, 0, nil), listen(t, list, 1, nil), listen(t, list, 2, nil)
	formAll(t, a, b, c)
	must(t, c.Close())
	other, _ := ofAnother(list)
	foreign := listen(t, list, 2, func(c *Config) { c.DirectoryID = list[2].DirectoryID })
	foreign.take(other)
	err := <-foreign.inbox.excluded
	if _, is := errors.AsType[*OutdatedError](err); !is || !strings.Contains(err.Error(), "where 2 of its 3 voters were are servers of cluster") || !strings.Contains(err.Error(), "member replace 2") {
		t.Errorf("it ends: %v", err)
	}
	for _, n := range []*node{a, b} {
		select {
		case err := <-n.inbox.excluded:
			t.Errorf("server %d ends: %v", n.config.ServerID, err)
		default:
		}
	}
}
