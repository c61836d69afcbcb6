package server

import "net"

// appendSettings appends the settings under memcached's names, in its order.
// Those of slabs, of the LRU and of storage on disk are left out: there are none.
func (s *Server) appendSettings(dst []byte) []byte {
	o, state := &s.options, s.backend.State()
	dst = appendStatInt(dst, "maxbytes", state.LimitBytes)
	dst = appendStatInt(dst, "maxconns", int64(o.MaxConnections))
	if addr, ok := s.Addr().(*net.TCPAddr); ok {
		dst = appendStatInt(dst, "tcpport", int64(addr.Port))
	}
	dst = appendStat(dst, "udpport", "0")
	dst = appendStat(dst, "inter", o.Listen[0])
	dst = appendStatInt(dst, "verbosity", int64(o.Verbosity))
	dst = appendStat(dst, "evictions", onOff(state.Evicts))
	dst = appendStat(dst, "domain_socket", "NULL")
	dst = appendStat(dst, "shutdown_command", yesNo(o.Shutdown != nil))
	dst = appendStatInt(dst, "num_threads", int64(len(s.loops)))
	dst = appendStat(dst, "detail_enabled", "no")
	dst = appendStat(dst, "cas_enabled", "yes")
	dst = appendStat(dst, "binding_protocol", "auto-negotiate")
	dst = appendStat(dst, "auth_enabled_sasl", yesNo(o.Authenticator != nil))
	if o.Authenticator != nil {
		dst = appendStat(dst, "auth_enabled_ascii", o.AuthFile)
	} else {
		dst = appendStat(dst, "auth_enabled_ascii", "no")
	}
	dst = appendStatInt(dst, "item_size_max", int64(o.ItemBytesMax))
	dst = appendStat(dst, "maxconns_fast", "yes")
	dst = appendStat(dst, "slab_reassign", "no")
	dst = appendStatInt(dst, "slab_automove", 0)
	dst = appendStat(dst, "lru_crawler", "no")
	dst = appendStat(dst, "flush_enabled", yesNo(!o.FlushDisabled))
	dst = appendStat(dst, "dump_enabled", "no")
	dst = appendStat(dst, "hash_algorithm", "xxh64")
	dst = appendStat(dst, "lru_maintainer_thread", "no")
	dst = appendStat(dst, "lru_segmented", "no")
	dst = appendStatInt(dst, "idle_timeout", int64(o.IdleTimeout.Seconds()))
	dst = appendStat(dst, "track_sizes", "no")
	return appendStat(dst, "client_flags_size", "4")
}
