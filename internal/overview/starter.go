package overview

import (
	"cmp"
	"fmt"
	"strings"

	"raftcached/internal/admin"
)

// Starter knows by which command servers are started.
type Starter struct {
	File   string         // the cluster's server.json; empty: none is known here
	Listed map[int]string // by id, where the server.json has it for the other servers
	Secret string         // file that holds the cluster's; empty: unknown
}

// Lists reports whether the server.json has a server where the cluster has it.
func (s *Starter) Lists(id int, logAddress string) bool {
	addr, listed := s.Listed[id]
	return listed && addr == logAddress
}

// Command is what starts a server: by the server.json if that lists it, and otherwise by
// its data folder, which knows what its server needs. An empty folder is told where the
// others are. best is the status that knows the most.
func (s *Starter) Command(m *admin.Member, best *admin.Status, others ...string) string {
	if s.Lists(m.ID, m.LogAddress) {
		return fmt.Sprintf("raftcached -config %s -id %d", s.File, m.ID)
	}
	text := fmt.Sprintf("raftcached -id %d -data DIR", m.ID)
	if len(others) > 0 {
		text += " -join " + strings.Join(others, ",")
	}
	if m.AdminAddress != "" {
		text += " -admin-listen " + m.AdminAddress
	}
	if best.Guarded || s.Secret != "" {
		text += " -secret-file " + cmp.Or(s.Secret, "FILE")
	}
	if best.Secured {
		text += " -peer-cert FILE -peer-key FILE -peer-ca FILE"
	}
	return text
}

// again says how a server that was stopped is started.
func (s *Starter) again(m *admin.Member, best *admin.Status) string {
	how := "Start it again"
	if !s.Lists(m.ID, m.LogAddress) {
		how += ", with its data folder and the flags that it had"
	}
	return fmt.Sprintf("%s: %s.", how, s.Command(m, best))
}
