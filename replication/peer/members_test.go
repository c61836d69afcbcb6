package peer

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"raftcached/replication/identity"
)

// follow gives a node members as its replica would.
func (n *node) follow(r *identity.Roster) {
	n.inbox.members.Store(r)
	n.SetMembers(r)
}

// twoOfThree returns two nodes that form a cluster, and the members after a third one,
// which is not started, was admitted.
func twoOfThree(t *testing.T) (a, b *node, c identity.Cluster, list []identity.Member, grown *identity.Roster) {
	t.Helper()
	list = members(3)
	a, b = listen(t, list[:2], 0, nil), listen(t, list[:2], 1, nil)
	c = formAll(t, a, b)
	<-a.inbox.restored
	<-b.inbox.restored
	third := list[2]
	third.DirectoryID, third.Learner = identity.DirectoryID{3}, true
	grown = &identity.Roster{Version: 1, NextRaftID: 4, Members: append(slices.Clone(c.Members), third)}
	return a, b, c, list, grown
}

// TestMembersAreFollowed: a member that comes is dialed, one that moves is dialed where
// it is, one that goes is not dialed any more.
func TestMembersAreFollowed(t *testing.T) {
	a, _, c, list, grown := twoOfThree(t)
	a.follow(grown)
	elsewhere := slices.Clone(list)
	elsewhere[2].LogPort += 100
	third := listen(t, elsewhere, 2, nil)
	joined := c
	joined.RaftID, joined.Roster = 3, grown
	third.take(joined)
	<-third.inbox.restored // to a; b has not applied that there is a third
	<-third.inbox.restored
	if a.Connected(3) {
		t.Fatal("connected to a member where it is not")
	}
	moved := &identity.Roster{Version: 2, NextRaftID: 4, Members: slices.Clone(grown.Members)}
	moved.Members[2].LogPort += 100
	a.follow(moved)
	if id := <-a.inbox.restored; id != 3 {
		t.Fatalf("stream to %d was restored", id)
	}
	eventually(t, func() bool { return a.Connected(3) && a.Send(message(1, 3, 7), 0) })
	if m := <-third.inbox.raft; m.GetIndex() != 7 {
		t.Fatalf("got %v", m)
	}
	a.follow(&identity.Roster{Version: 3, NextRaftID: 4, Members: c.Members})
	if a.Connected(3) || a.Send(message(1, 3, 8), 0) {
		t.Error("connected to a member that was removed")
	}
}

// TestRemovedIsTold: a folder that was removed, replaced or retired hears it, while it
// runs and when it starts later, but not before nobody can need it.
func TestRemovedIsTold(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(r *identity.Roster)
		want   string
	}{
		{"removed", func(r *identity.Roster) { r.Members = r.Members[:1] }, "server 1 was removed from the cluster: to bring it back, remove its data folder, run `raftcachectl member add 1`"},
		{"replaced", func(r *identity.Roster) {
			r.Members[1].RaftID, r.Members[1].DirectoryID = 3, identity.DirectoryID{0xab}
			r.NextRaftID = 4
		}, "was replaced by folder ab00"},
		{"retired", func(r *identity.Roster) {
			r.Members[1].Retired = true
			r.Members = slices.Insert(r.Members, 1, identity.Member{ServerID: 1})
		}, "an empty one is awaited in its place"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b, cluster, list, _ := twoOfThree(t)
			after := &identity.Roster{Version: 1, NextRaftID: 3, Members: slices.Clone(cluster.Members)}
			c.change(after)
			a.inbox.unsettled.Store(true)
			a.follow(after)
			eventually(t, func() bool { return strings.Contains(b.Sight(1).Why, "the members change at this moment") })
			var removed *RemovedError
			select {
			case err := <-b.inbox.excluded:
				t.Errorf("too early: %v", err)
			default:
			}
			a.inbox.unsettled.Store(false)
			if err := <-b.inbox.excluded; !errors.As(err, &removed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("while it runs: %v, want %q", err, c.want)
			}
			must(t, b.Close())
			b = listen(t, list[:2], 1, func(c *Config) { c.Lineage = lineage(1, 2) })
			b.take(cluster)
			if err := <-b.inbox.excluded; !errors.As(err, &removed) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("when it starts: %v, want %q", err, c.want)
			}
		})
	}
}

// TestAddressesAreLearned: a node that was down while its peer moved, and another one
// was added, hears of that by whoever reaches it, and keeps it.
func TestAddressesAreLearned(t *testing.T) {
	a, b, c, list, grown := twoOfThree(t)
	must(t, a.Close())
	must(t, b.Close())
	elsewhere := slices.Clone(list)
	elsewhere[0].LogPort += 100
	grown.Members[0].LogPort += 100
	late := c
	late.Roster = grown
	a = listen(t, elsewhere, 0, func(c *Config) { c.Lineage = lineage(1, 2) })
	a.take(late)
	kept := &memory{}
	b = listen(t, list[:2], 1, func(c *Config) { c.Lineage, c.Memory = lineage(1, 2), kept })
	b.take(c)
	if id := <-b.inbox.restored; id != 1 {
		t.Fatalf("stream to %d was restored", id)
	}
	kept.mu.Lock()
	if kept.kept == nil || kept.kept.Version != 1 || kept.kept.Members[0].LogPort != elsewhere[0].LogPort {
		t.Errorf("kept %+v", kept.kept)
	}
	kept.mu.Unlock()
	if b.to(3) == nil {
		t.Error("it does not look for the member that was added")
	}
}
