package node

import (
	"raftcached/replication/disk"
	"raftcached/replication/identity"
)

// Past is what a data folder tells of the server that it belongs to.
type Past struct {
	ServerID   int
	PeerAddr   string // host:port at which the other servers look for it; empty: unknown
	ClientAddr string // likewise for clients
	Constants  identity.Constants
}

// Recall reads from a data folder how its server takes part in its cluster: so it can be
// started by its folder alone. It changes nothing. It reports false if the folder is of
// no cluster, of a server that nobody else looks for, or not readable.
func Recall(fs disk.FS, dir string) (p Past, known bool) {
	id, err := identity.Read(fs, dir)
	if err != nil || id.Cluster() == nil {
		return p, false // to open the folder says why
	}
	c := id.Cluster()
	p.ServerID, p.Constants = id.ServerID(), c.Constants
	raftID, _ := raftIDOf(id)
	self, _ := noted(c).Find(raftID)
	if self.LogPort != 0 {
		p.PeerAddr = joinHostPort(self.Host, self.LogPort)
	}
	if self.ClientPort != 0 {
		p.ClientAddr = joinHostPort(self.Host, self.ClientPort)
	}
	return p, c.RaftID != 0 || self.LogPort != 0
}
