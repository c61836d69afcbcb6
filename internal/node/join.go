package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"
	"time"

	"raftcached/engine"
	"raftcached/internal/settings"
	"raftcached/replication/identity"
	"raftcached/replication/peer"
)

// openIdentity opens the data folder, and locks it.
func (n *Node) openIdentity() error {
	var err error
	n.identity, err = identity.Open(n.cfg.Disk, n.cfg.DataDir, n.cfg.ServerID, rand.Reader)
	switch {
	case errors.Is(err, identity.ErrLost):
		return n.lost(err)
	case err != nil:
		return folderError(err)
	}
	return nil
}

// identify finds out who this node is, by its data folder: it listens for peers, and forms the cluster if it was never formed. Of a formed cluster the node
// takes over the limits before it reports its own to peers.
func (n *Node) identify(ctx context.Context) error {
	if n.identity.Cluster() == nil {
		var err error
		switch claim := n.identity.Claim(); {
		case n.cfg.Join != "":
			err = n.join(ctx, strings.Split(n.cfg.Join, ","))
		case claim != nil:
			err = n.joinClaimant(ctx, claim)
		}
		if err != nil {
			return err
		}
	}
	formed := n.identity.Cluster() != nil
	if formed {
		if err := n.belong(ctx); err != nil {
			return err
		}
	}
	if n.cfg.PeerAddr != "" {
		n.warnOfLogPort()
		var err error
		if n.transport, err = peer.Listen(n.peerConfig()); err != nil {
			return addressError(err)
		}
	}
	if formed {
		return nil
	}
	if err := n.form(ctx); err != nil {
		return err
	}
	return n.belong(ctx)
}

// belong takes over what the node's cluster says of it.
func (n *Node) belong(ctx context.Context) error {
	c := n.identity.Cluster()
	if err := n.checkVersion(c); err != nil {
		return err
	}
	if err := n.checkConstants(c); err != nil {
		return err
	}
	var known bool
	if n.raftID, known = raftIDOf(n.identity); !known {
		return settings.Errorf("data folder %q is of cluster %016x, which does not know it: %s", n.cfg.DataDir, c.ID, n.remedy())
	}
	n.known.Store(noted(c))
	n.fillAddresses()
	return n.compareServers(ctx)
}

// form makes the node a member of the cluster of all listed servers.
func (n *Node) form(ctx context.Context) error {
	var cluster identity.Cluster
	if n.transport == nil {
		self := n.listed()
		self[0].DirectoryID = n.identity.DirectoryID()
		cluster = identity.NewCluster(n.constants(), self)
	} else {
		var err error
		cluster, err = n.transport.Form(ctx, func(text string) { n.cfg.Logger.Info(text) })
		if errors.Is(err, peer.ErrFormed) {
			return n.joinListed(ctx)
		}
		if claimed, is := errors.AsType[*peer.ClaimedError](err); is {
			if err := n.identity.KeepClaim(claimed.Addrs); err != nil {
				return fmt.Errorf("write down that %w: %w", claimed, err)
			}
			n.cfg.Logger.Warn("this server is listed alone, and its data folder is empty, but another cluster looks for it", "cluster", fmt.Sprintf("%016x", claimed.Cluster), "at", claimed.Addrs)
			return n.joinClaimant(ctx, claimed.Addrs)
		}
		if err != nil {
			return orSettings(err)
		}
	}
	if err := n.identity.Form(cluster); err != nil {
		return fmt.Errorf("write down the cluster: %w", err)
	}
	n.cfg.Logger.Info("cluster formed", "cluster", fmt.Sprintf("%016x", cluster.ID), "members", len(cluster.Members))
	return nil
}

// joinClaimant makes the node a member of the cluster that has looked for it. It may
// have to wait for its operator, and does not form another cluster meanwhile.
func (n *Node) joinClaimant(ctx context.Context, addrs []string) error {
	err := n.join(ctx, addrs)
	if err == nil || ctx.Err() != nil {
		return err
	}
	return fmt.Errorf("%w; if this server does not belong to the cluster that has it, run `raftcachectl member remove %d` at another server, and move data folder %q away", err, n.cfg.ServerID, n.cfg.DataDir)
}

// joinListed makes the node a member of the cluster that listed servers are in.
func (n *Node) joinListed(ctx context.Context) error {
	var addrs []string
	for _, s := range n.cfg.Servers {
		if s.ID != n.cfg.ServerID {
			addrs = append(addrs, joinHostPort(s.Host, s.LogPort))
		}
	}
	return n.join(ctx, addrs)
}

// join makes the node, whose data folder is empty, a member of the cluster whose log
// ports are at the addresses.
func (n *Node) join(ctx context.Context, addrs []string) error {
	cluster, err := peer.Join(ctx, n.peerConfig(), addrs, func(text string) { n.cfg.Logger.Info(text) })
	if err != nil {
		return orSettings(err)
	}
	if err := n.identity.Form(cluster); err != nil {
		return fmt.Errorf("write down the cluster: %w", err)
	}
	n.cfg.Logger.Info("joined the cluster", "cluster", fmt.Sprintf("%016x", cluster.ID))
	if len(n.cfg.Servers) == 0 { // it was told of the cluster's address, and of nothing else
		if other := differences(n.constants(), cluster.Constants); len(other) > 0 {
			n.cfg.Logger.Warn("the cluster's settings count, not those that this server has: " + strings.Join(other, ", "))
		}
		n.takeLimits(cluster.Constants.Limits)
	}
	return nil
}

// differences says which limits and ticks of a cluster a server has otherwise.
func differences(ours, theirs identity.Constants) (list []string) {
	for _, c := range []struct {
		name         string
		ours, theirs any
	}{
		{"memory limit in bytes", ours.MemoryLimitBytes, theirs.MemoryLimitBytes},
		{"largest item in bytes", ours.ItemBytesMax, theirs.ItemBytesMax},
		{"evictions disabled", ours.NoEvict, theirs.NoEvict},
		{"tick in ms", ours.TickMs, theirs.TickMs},
		{"ticks to an election", ours.ElectionTicks, theirs.ElectionTicks},
	} {
		if c.ours != c.theirs {
			list = append(list, fmt.Sprintf("%s %v, not %v", c.name, c.theirs, c.ours))
		}
	}
	return list
}

// fillAddresses sets what a node that is not listed in its configuration is started
// without: where it listens is where the cluster was told that it is.
func (n *Node) fillAddresses() {
	self, ok := n.members().Find(n.raftID)
	if !ok || len(n.cfg.Servers) > 0 {
		return
	}
	if n.cfg.PeerAddr == "" {
		n.cfg.PeerAddr = joinHostPort(self.Host, self.LogPort)
	}
	if len(n.cfg.Server.Listen) == 0 {
		n.cfg.Server.Listen = []string{joinHostPort(self.Host, self.ClientPort)}
	}
}

// checkConstants compares the configuration with what the cluster was formed with.
// Different limits are a warning, different ticks an error.
func (n *Node) checkConstants(c *identity.Cluster) error {
	if len(n.cfg.Servers) == 0 { // it knows the cluster by its address alone
		n.cfg.Tick, n.cfg.ElectionTicks = time.Duration(c.Constants.TickMs)*time.Millisecond, int(c.Constants.ElectionTicks)
		n.cfg.HeartbeatTicks = max(1, min(n.cfg.HeartbeatTicks, n.cfg.ElectionTicks/4))
	}
	if ours := n.constants(); c.Constants.Ticks != ours.Ticks {
		return settings.Errorf("the cluster was formed with ticks of %d ms and %d of them to an election, this node is configured with %d ms and %d: start it with those of the cluster",
			c.Constants.TickMs, c.Constants.ElectionTicks, ours.TickMs, ours.ElectionTicks)
	}
	n.adoptLimits(c.Constants.Limits)
	n.adoptLeases(c)
	return nil
}

// adoptLimits replaces the configured limits by those that the cluster was formed
// with. The state begins with them; later changes are in the log.
func (n *Node) adoptLimits(l identity.Limits) {
	ours := n.constants().Limits
	if l.MemoryLimitBytes != ours.MemoryLimitBytes {
		n.cfg.Logger.Warn("the configured memory limit has no effect: change it with the command cache_memlimit",
			"configured", ours.MemoryLimitBytes, "formed with", l.MemoryLimitBytes)
	}
	if l.ItemBytesMax != ours.ItemBytesMax {
		n.cfg.Logger.Warn("the configured item limit has no effect: it was set at formation",
			"configured", ours.ItemBytesMax, "formed with", l.ItemBytesMax)
	}
	if l.NoEvict != ours.NoEvict {
		n.cfg.Logger.Warn("whether evictions are disabled was set at formation: the configuration has no effect",
			"configured", ours.NoEvict, "formed with", l.NoEvict)
	}
	n.takeLimits(l)
}

func (n *Node) takeLimits(l identity.Limits) {
	n.cfg.Limits = engine.Limits{MemoryBytes: l.MemoryLimitBytes, ItemBytesMax: int(l.ItemBytesMax), NoEvict: l.NoEvict}
}

// constants are the settings that all nodes of the cluster must have in common.
func (n *Node) constants() identity.Constants {
	leases := identity.Leases(n.cfg.Leases)
	if n.cfg.Leases == leasesOff {
		leases = identity.LeasesOff
	}
	return identity.Constants{
		Limits: identity.Limits{
			MemoryLimitBytes: n.cfg.Limits.MemoryBytes, ItemBytesMax: int64(n.cfg.Limits.ItemBytesMax), NoEvict: n.cfg.Limits.NoEvict,
		},
		Ticks:  identity.Ticks{TickMs: n.cfg.Tick.Milliseconds(), ElectionTicks: int64(n.cfg.ElectionTicks)},
		Leases: leases,
	}
}

// listed returns the servers of the configuration, in the order of their ids. A raft
// id is the server id plus one, because raft reserves 0.
func (n *Node) listed() []identity.Member {
	members := make([]identity.Member, len(n.cfg.Servers))
	for i, s := range n.cfg.Servers {
		members[i] = identity.Member{ServerID: s.ID, RaftID: uint64(s.ID) + 1, Host: s.Host, ClientPort: s.ClientPort, LogPort: s.LogPort}
	}
	return members
}

func (n *Node) peerConfig() peer.Config {
	adminAddr := ""
	if n.admin != nil {
		adminAddr = n.admin.Addr().String()
	}
	constants := n.constants()
	if len(n.cfg.Servers) == 0 && n.identity.Cluster() == nil {
		constants.Ticks = identity.Ticks{} // it takes over those of the cluster
	}
	return peer.Config{
		AdminAddr: adminAddr, Admit: n.admit, Replaces: n.cfg.ReplaceEmpty, Known: n.knownVersion(),
		ServerID: n.cfg.ServerID, DirectoryID: n.identity.DirectoryID(), Lineage: n.identity.Lineage(), Memory: n.identity, Secret: n.secret, Optional: n.cfg.SecretOptional, TLS: n.peerTLS(), Handshakes: n.handshakes.Port(), Formed: n.identity.Cluster() != nil, Lost: n.identity.LostClusters(), LoneWait: n.cfg.LoneWait,
		Constants: constants, Listen: n.cfg.PeerAddr, Listener: n.cfg.PeerListener, Servers: n.listed(), Logger: n.cfg.Logger,
	}
}

// folderError turns the failure to open the data folder into an error of the
// configuration, if another folder or other rights would help. A full or broken disk
// is a failure.
func folderError(err error) error {
	errno, isSystem := errors.AsType[syscall.Errno](err)
	rights := []syscall.Errno{syscall.EACCES, syscall.EPERM, syscall.EROFS, syscall.ENOTDIR, syscall.EISDIR, syscall.ENAMETOOLONG, syscall.ELOOP}
	if isSystem && !slices.Contains(rights, errno) {
		return err
	}
	return settings.Errorf("%v", err)
}

// addressError turns the failure to listen at an address into an error of the
// configuration.
func addressError(err error) error {
	if errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EACCES) {
		return settings.Errorf("%v: stop what uses the port, or choose another one", err)
	}
	return err
}

// orSettings makes an error of the settings of what a peer has refused, the folder or else.
func orSettings(err error) error {
	if errors.As(err, new(*peer.RefusedError)) || errors.As(err, new(*peer.OutdatedError)) || errors.As(err, new(*peer.RemovedError)) {
		return settings.Errorf("%w", err)
	}
	return err
}
