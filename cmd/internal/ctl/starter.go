package ctl

import (
	"raftcached"
	"raftcached/internal/overview"
)

// newStarter returns what the server.json says of how servers are started.
func (c *ctl) newStarter() *overview.Starter {
	s := &overview.Starter{File: c.configFile(), Listed: map[int]string{}, Secret: c.secret}
	if s.File == "" {
		return s
	}
	if cluster, err := raftcached.ReadCluster(s.File); err == nil {
		for _, o := range cluster.Servers {
			s.Listed[o.ID] = o.PeerAddr()
		}
	}
	return s
}
