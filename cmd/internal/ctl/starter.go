package ctl

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"raftcached"
	"raftcached/internal/admin"
)

// starter knows by which command servers are started.
type starter struct {
	file    string // the cluster's server.json; empty: none is known here
	servers []raftcached.Server
	secret  string // file that holds the cluster's; empty: unknown
}

func (c *ctl) newStarter() *starter {
	s := &starter{file: c.configFile(), secret: c.secret}
	if s.file == "" {
		return s
	}
	if cluster, err := raftcached.ReadCluster(s.file); err == nil {
		s.servers = cluster.Servers
	}
	return s
}

// lists reports whether the server.json has a server where the cluster has it.
func (s *starter) lists(id int, logAddress string) bool {
	return slices.ContainsFunc(s.servers, func(o raftcached.Server) bool { return o.ID == id && o.PeerAddr() == logAddress })
}

// command is what starts a server: by the server.json if that lists it, and otherwise by
// its data folder, which knows what its server needs. An empty folder is told where the
// others are. best is the status that knows the most.
func (s *starter) command(m *admin.Member, best *admin.Status, others ...string) string {
	if s.lists(m.ID, m.LogAddress) {
		return fmt.Sprintf("raftcached -config %s -id %d", s.file, m.ID)
	}
	text := fmt.Sprintf("raftcached -id %d -data DIR", m.ID)
	if len(others) > 0 {
		text += " -join " + strings.Join(others, ",")
	}
	if m.AdminAddress != "" {
		text += " -admin-listen " + m.AdminAddress
	}
	if best.Guarded || s.secret != "" {
		text += " -secret-file " + cmp.Or(s.secret, "FILE")
	}
	if best.Secured {
		text += " -peer-cert FILE -peer-key FILE -peer-ca FILE"
	}
	return text
}

// again says how a server that was stopped is started.
func (s *starter) again(m *admin.Member, best *admin.Status) string {
	how := "Start it again"
	if !s.lists(m.ID, m.LogAddress) {
		how += ", with its data folder and the flags that it had"
	}
	return fmt.Sprintf("%s: %s.", how, s.command(m, best))
}
