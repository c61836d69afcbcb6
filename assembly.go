package raftcached

import (
	"time"

	"raftcached/engine"
	"raftcached/internal/certificates"
	"raftcached/internal/node"
	"raftcached/protocol/server"
)

// partialTimeout is how long a client may take to complete a command. A client
// that takes longer is gone, and would hold a connection for ever.
const partialTimeout = time.Minute

// loneWait is how long a server that is listed alone waits, at its first start, for
// others to look for it: they try at least every 750 ms, and TCP again after a second.
const loneWait = 2 * time.Second

// assembly returns what a node is assembled from, of a complete configuration.
func (c *Config) assembly() node.Config {
	n := node.Config{
		ServerID: c.ServerID, Disk: c.disk(), DataDir: c.DataDir, PeerAddr: c.PeerAddr, PeerListener: c.PeerListener,
		Limits:     engine.Limits{MemoryBytes: c.MemoryLimitBytes, ItemBytesMax: c.ItemBytesMax, NoEvict: c.NoEvict},
		LocalReads: c.Reads == ReadsLocal, Leases: string(c.Leases), RequestTimeout: c.RequestTimeout,
		Tick: c.Tick, ElectionTicks: c.ElectionTicks, HeartbeatTicks: c.HeartbeatTicks, LogRetainBytes: c.LogRetainBytes,
		DiskReserveBytes: c.DiskReserveBytes, UnlistAfter: c.UnlistAfter, ClusterVersionMax: uint64(c.ClusterVersionMax),
		Join: c.Join, ReplaceEmpty: c.ReplaceEmpty,
		AuthFile: c.AuthFile, Encryption: c.encryption(), Secret: c.Secret, SecretFile: c.SecretFile, SecretOptional: c.SecretOptional, ShutdownEnabled: c.ShutdownEnabled, AdminAddr: c.AdminAddr, HealthAddr: c.HealthAddr, Logger: c.Logger,
		PeerFiles: certificates.Files{Chain: c.ofServer(c.PeerCertFile), Key: c.ofServer(c.PeerKeyFile), CA: c.ofServer(c.PeerCAFile)}, PeerTLSOptional: c.PeerTLS == PeerTLSOptional,
		Server: server.Options{
			Listen: c.listen(), Listeners: c.ClientListeners, Loops: c.Threads, MaxConnections: c.MaxConns,
			IdleTimeout: c.IdleTimeout, PartialTimeout: partialTimeout, FlushDisabled: c.FlushDisabled, DumpDisabled: c.DumpingDisabled,
			KeyDelimiter: c.delimiter(), SlowTime: c.SlowTime, HotKeysOff: c.HotKeysDisabled,
			Version: MemcachedVersion, RaftcachedVersion: Version, Verbosity: c.Verbose, SetVerbosity: c.SetVerbosity, Logger: c.Logger,
		},
	}
	if c.MemoryDisk == nil { // what is in memory was not lost unnoticed
		n.LoneWait = loneWait
	}
	for _, s := range c.Servers {
		n.Servers = append(n.Servers, node.Server{ID: s.ID, Host: s.Host, ClientPort: s.ClientPort, LogPort: s.LogPort, AdminAddr: s.AdminAddr()})
	}
	return n
}

// delimiter is what prefixes of keys end with; 0: the default.
func (c *Config) delimiter() byte {
	if c.KeyDelimiter == "" {
		return 0
	}
	return c.KeyDelimiter[0]
}
