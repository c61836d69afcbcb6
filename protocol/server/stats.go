package server

import (
	"os"
	"strconv"
	"strings"

	"raftcached/protocol"
	"raftcached/protocol/server/eventloop"
)

// appendStatsReply appends the complete answer to "stats arg". That to "stats
// conns" needs the other loops: see listing.
func (s *Server) appendStatsReply(dst []byte, arg string) []byte {
	word, rest, _ := strings.Cut(arg, " ")
	switch word {
	case "":
		dst = s.appendStats(dst)
	case "reset":
		s.resetStats()
		return append(dst, "RESET\r\n"...)
	case "settings":
		dst = s.appendSettings(dst)
	case "items":
		dst = s.appendItems(dst)
	case "slabs":
		dst = s.appendSlabs(dst)
	case "sizes":
		dst = appendStat(dst, "sizes_status", "disabled")
	case "cachedump":
		// Nothing is listed: memcached lists one class, of which there are none.
	case "detail":
		return appendDetail(dst, strings.TrimSpace(rest))
	default:
		before := len(dst)
		var ok bool
		if dst, ok = s.backend.AppendStats(dst, arg); !ok {
			return append(dst[:before], "ERROR\r\n"...)
		}
	}
	return append(dst, protocol.ReplyEnd...)
}

// appendDetail answers "stats detail", of which no prefixes are kept.
func appendDetail(dst []byte, arg string) []byte {
	if arg == "dump" {
		return append(dst, protocol.ReplyEnd...)
	}
	return append(dst, "OK\r\n"...) // on or off: the parser lets nothing else through
}

// appendStats appends plain stats, in memcached's order. What memcached has and
// this server has not is left out, but for counts of what cannot happen here:
// tools ask for them. No name may hold a colon: programs take what has one for
// stats of a slab.
func (s *Server) appendStats(dst []byte) []byte {
	t := s.totalsSinceReset()
	open := int64(s.engine.Counts().Open)
	dst = s.appendProcess(dst)
	dst = appendStatInt(dst, "max_connections", int64(s.options.MaxConnections))
	dst = appendStatInt(dst, "curr_connections", open)
	dst = appendStatInt(dst, "total_connections", int64(t.total))
	dst = appendStatInt(dst, "rejected_connections", int64(t.rejected))
	dst = appendStatInt(dst, "connection_structures", open)
	for k := range counterCount {
		dst = appendStatInt(dst, k.name(), int64(t.counts[k]))
		if k == getMisses {
			dst = appendStatInt(dst, "get_expired", t.state.GetExpired)
			dst = appendStatInt(dst, "get_flushed", 0) // a flush leaves nothing to be met
		}
	}
	dst = appendStatInt(dst, "limit_maxbytes", t.state.LimitBytes)
	dst = appendStatInt(dst, "accepting_conns", 1) // over the limit they are accepted and refused
	dst = appendStatInt(dst, "listen_disabled_num", 0)
	dst = appendStatInt(dst, "time_in_listen_disabled_us", 0)
	dst = appendStatInt(dst, "threads", int64(len(s.loops)))
	dst = appendStatInt(dst, "conn_yields", 0)
	return t.state.append(dst)
}

// appendProcess appends what memcached tells of its process.
func (s *Server) appendProcess(dst []byte) []byte {
	now := s.options.Now()
	dst = appendStatInt(dst, "pid", int64(os.Getpid()))
	dst = appendStatInt(dst, "uptime", max(1, int64(now.Sub(s.started).Seconds()))) // programs divide by it
	dst = appendStatInt(dst, "time", now.Unix())
	dst = appendStat(dst, "version", s.options.Version)
	dst = appendStat(dst, "raftcached_version", s.options.RaftcachedVersion)
	dst = appendStat(dst, "libevent", eventloop.Version)
	dst = appendStatInt(dst, "pointer_size", strconv.IntSize)
	return appendRusage(dst)
}

// append appends what plain stats tells of the cache.
func (s *State) append(dst []byte) []byte {
	dst = appendStatInt(dst, "hash_power_level", powerOf(s.IndexBuckets))
	dst = appendStatInt(dst, "hash_bytes", s.IndexBytes)
	dst = appendStat(dst, "hash_is_expanding", oneOrZero(s.IndexResizing))
	dst = appendStatInt(dst, "bytes", s.Bytes)
	dst = appendStatInt(dst, "curr_items", s.Items)
	dst = appendStatInt(dst, "total_items", s.TotalItems)
	dst = appendStatInt(dst, "expired_unfetched", s.ExpiredUnfetched)
	dst = appendStatInt(dst, "evicted_unfetched", s.EvictedUnfetched)
	dst = appendStatInt(dst, "evictions", s.Evictions)
	return appendStatInt(dst, "reclaimed", s.Reclaimed)
}

// appendStat appends one line of stats.
func appendStat(dst []byte, name, value string) []byte {
	dst = append(dst, "STAT "...)
	dst = append(dst, name...)
	dst = append(dst, ' ')
	dst = append(dst, value...)
	return append(dst, "\r\n"...)
}

// appendStatInt appends one line of stats with a number.
func appendStatInt(dst []byte, name string, value int64) []byte {
	return appendStat(dst, name, strconv.FormatInt(value, 10))
}
