package stats

import (
	"time"

	"raftcached/protocol"
)

// Settings are what stats reports of a server's configuration.
type Settings struct {
	Version           string // of memcached
	RaftcachedVersion string
	EventLoop         string // what runs the event loops; reported as libevent

	Interface      string // the first address listened on, as configured
	Port           int    // TCP port of it, as bound; 0 if it has none
	MaxConnections int
	ItemBytesMax   int
	Verbosity      int
	IdleTimeout    time.Duration
	Shutdown       bool   // the shutdown command is allowed
	Dump           bool   // keys may be listed
	Flush          bool   // the flush_all command is allowed
	Login          bool   // clients must authenticate
	AuthFile       string // where the users are from

	Encryption *Encryption // nil: there is no TLS
}

// addSettings adds the settings under memcached's names, in its order. Those of
// slabs, of the LRU and of storage on disk are left out: there are none.
func (c *Collector) addSettings(l *protocol.StatList) {
	s, state := &c.settings, c.source.State()
	l.AddInt("maxbytes", state.LimitBytes)
	l.AddInt("maxconns", int64(s.MaxConnections))
	if s.Port != 0 {
		l.AddInt("tcpport", int64(s.Port))
	}
	l.Add("udpport", "0")
	l.Add("inter", s.Interface)
	l.AddInt("verbosity", c.verbosity.Load())
	l.Add("evictions", onOff(state.Evicts))
	l.Add("domain_socket", "NULL")
	l.Add("shutdown_command", yesNo(s.Shutdown))
	l.AddInt("num_threads", int64(len(c.source.Loops)))
	l.Add("stat_key_prefix", string([]byte{c.source.Prefixes.delimiter}))
	l.Add("detail_enabled", yesNo(c.source.Prefixes.On()))
	l.Add("cas_enabled", "yes")
	l.Add("binding_protocol", "auto-negotiate")
	l.Add("auth_enabled_sasl", yesNo(s.Login))
	if s.Login {
		l.Add("auth_enabled_ascii", s.AuthFile)
	} else {
		l.Add("auth_enabled_ascii", "no")
	}
	l.AddInt("item_size_max", int64(s.ItemBytesMax))
	l.Add("maxconns_fast", "yes")
	l.Add("slab_reassign", "no")
	l.AddInt("slab_automove", 0)
	l.Add("lru_crawler", "no")
	l.Add("flush_enabled", yesNo(s.Flush))
	l.Add("dump_enabled", yesNo(s.Dump))
	l.Add("hash_algorithm", hashOf(c.source.State().Seeded))
	l.Add("lru_maintainer_thread", "no")
	l.Add("lru_segmented", "no")
	l.AddInt("idle_timeout", int64(s.IdleTimeout.Seconds()))
	l.Add("track_sizes", "no")
	s.Encryption.addSettings(l)
	l.Add("client_flags_size", "4")
}

// hashOf names the hash of keys.
func hashOf(seeded bool) string {
	if seeded {
		return "xxh3"
	}
	return "xxh64" // of a cluster from before there were seeds
}
