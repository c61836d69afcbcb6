package node

import (
	"context"
	"fmt"
	"net"
	"slices"
	"time"

	"raftcached/internal/settings"
	"raftcached/replication"
)

// resolvePatience is how long names may take that are compared with each other.
const resolvePatience = 2 * time.Second

// compareServers compares the servers of the configuration with the members. Once a
// cluster is formed its log says who they are; the configuration says where this server
// listens, and is for the first start otherwise. So a difference is no reason not to
// start: it gives a line that names the command by which it becomes true. When members
// have changed, the configuration may well be the one of the first start: then only this
// server's own address is of interest.
func (n *Node) compareServers(ctx context.Context) error {
	places := n.places()
	if n.cfg.PeerAddr == "" && len(places) > 1 {
		return settings.Errorf("data folder %q is that of server %d in a cluster of %d, and there is no port for the other servers: start it with the cluster's -config and -id, or with -peer-listen",
			n.cfg.DataDir, n.cfg.ServerID, len(places))
	}
	ctx, cancel := context.WithTimeout(ctx, resolvePatience)
	defer cancel()
	asFormed := n.members().Version == 0
	for i := range places {
		p := &places[i]
		s, listed := n.configured(p.ServerID)
		own := n.isSelf(&p.Member)
		switch {
		case len(places) == 1: // nobody looks for it
		case len(n.cfg.Servers) == 0: // it knows the cluster by its address alone
		case !own && !asFormed:
		case own && !listed: // it has joined without a list, or with that of the others
		case !listed:
			n.cfg.Logger.Warn(fmt.Sprintf("server %d is a member of the cluster and is not listed: if it is to go, run `raftcachectl member remove %d`", p.ServerID, p.ServerID))
		case sameAddress(ctx, &p.Member, &s):
		case own:
			n.cfg.Logger.Warn(fmt.Sprintf("the other servers look for this one at %s: %s", where(p.Host, p.ClientPort, p.LogPort), moveTo(&s)))
		default:
			n.cfg.Logger.Warn(fmt.Sprintf("server %d is listed at %s and is looked for at %s: %s",
				s.ID, where(s.Host, s.ClientPort, s.LogPort), where(p.Host, p.ClientPort, p.LogPort), moveTo(&s)))
		}
	}
	for _, s := range n.cfg.Servers {
		if member := slices.ContainsFunc(places, func(p place) bool { return p.ServerID == s.ID }); !member && asFormed {
			n.cfg.Logger.Warn(fmt.Sprintf("server %d is listed and is no member of the cluster: to add it, run `raftcachectl member add %d --host %s --port %d --log-port %d`",
				s.ID, s.ID, s.Host, s.ClientPort, s.LogPort))
		}
	}
	return nil
}

func moveTo(s *Server) string {
	return fmt.Sprintf("if the listed address is the right one, run `raftcachectl member move %d --host %s --port %d --log-port %d`",
		s.ID, s.Host, s.ClientPort, s.LogPort)
}

func where(host string, clientPort, logPort int) string {
	if clientPort == 0 {
		return joinHostPort(host, logPort)
	}
	return fmt.Sprintf("%s, and for clients :%d", joinHostPort(host, logPort), clientPort)
}

// sameAddress reports whether a member is where the configuration has it. Two names of
// one address are no difference.
func sameAddress(ctx context.Context, m *replication.Member, s *Server) bool {
	ports := m.LogPort == s.LogPort && (m.ClientPort == s.ClientPort || m.ClientPort == 0)
	return ports && (m.Host == s.Host || sameHost(ctx, m.Host, s.Host))
}

func sameHost(ctx context.Context, a, b string) bool {
	ofA, errA := net.DefaultResolver.LookupHost(ctx, a)
	ofB, errB := net.DefaultResolver.LookupHost(ctx, b)
	return errA == nil && errB == nil && slices.ContainsFunc(ofA, func(addr string) bool { return slices.Contains(ofB, addr) })
}
