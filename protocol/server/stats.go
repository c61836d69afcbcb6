package server

import (
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"raftcached/protocol"
)

// libeventVersion is what "stats" tells as libevent: the event loop behind.
const libeventVersion = "gnet-v2.10.0"

// totals are the counts of all loops and connections.
type totals struct {
	counts   [counterCount]uint64
	total    uint64 // connections accepted
	rejected uint64 // connections refused
}

// answer answers the commands that neither read nor write the cache.
func (c *conn) answer(req *protocol.Request) {
	switch req.Command {
	case protocol.Version:
		c.reply("VERSION " + c.loop.options.Version + "\r\n")
	case protocol.Verbosity:
		if !req.NoReply {
			c.reply("OK\r\n")
		}
	case protocol.Stats:
		c.loop.counters.publish()
		c.out = c.loop.server.appendStatsReply(c.buffer(), string(req.Arg))
	case protocol.Shutdown:
		c.shutdown()
	case protocol.Quit:
		c.closing = true
	default:
		c.reply(req.Reply)
	}
}

// shutdown ends the process, if the operator allowed it.
func (c *conn) shutdown() {
	if f := c.loop.options.Shutdown; f != nil {
		c.closing = true
		f()
		return
	}
	c.reply("SERVER_ERROR: shutdown not enabled\r\n")
}

// appendStatsReply appends the complete answer to "stats arg".
func (s *Server) appendStatsReply(dst []byte, arg string) []byte {
	word, rest, _ := strings.Cut(arg, " ")
	switch word {
	case "":
		dst = s.appendStats(dst)
		dst, _ = s.backend.AppendStats(dst, "")
		return append(dst, protocol.ReplyEnd...)
	case "reset":
		s.resetStats()
		return append(dst, "RESET\r\n"...)
	case "settings":
		return append(s.appendSettings(dst), protocol.ReplyEnd...)
	case "items", "slabs", "sizes", "conns", "cachedump":
		return append(dst, protocol.ReplyEnd...) // there are no slabs to tell of
	case "detail":
		return appendDetail(dst, strings.TrimSpace(rest))
	}
	before := len(dst)
	dst, ok := s.backend.AppendStats(dst, arg)
	if !ok {
		return append(dst[:before], "ERROR\r\n"...)
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

// appendStats appends what the server itself knows, in memcached's order.
func (s *Server) appendStats(dst []byte) []byte {
	now, o := s.options.Now(), &s.options
	t := s.totalsSinceReset()
	dst = appendStatInt(dst, "pid", int64(os.Getpid()))
	dst = appendStatInt(dst, "uptime", int64(now.Sub(s.started).Seconds()))
	dst = appendStatInt(dst, "time", now.Unix())
	dst = appendStat(dst, "version", o.Version)
	dst = appendStat(dst, "raftcached_version", o.RaftcachedVersion)
	dst = appendStat(dst, "libevent", libeventVersion)
	dst = appendStatInt(dst, "pointer_size", strconv.IntSize)
	dst = appendRusage(dst)
	dst = appendStatInt(dst, "max_connections", int64(o.MaxConnections))
	dst = appendStatInt(dst, "curr_connections", s.open.Load())
	dst = appendStatInt(dst, "total_connections", int64(t.total))
	dst = appendStatInt(dst, "rejected_connections", int64(t.rejected))
	for k := range counterCount {
		dst = appendStatInt(dst, k.name(), int64(t.counts[k]))
	}
	return appendStatInt(dst, "threads", int64(len(s.loops)))
}

// appendRusage appends the processor time that the process used.
func appendRusage(dst []byte) []byte {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return dst
	}
	dst = appendStat(dst, "rusage_user", seconds(u.Utime))
	return appendStat(dst, "rusage_system", seconds(u.Stime))
}

// seconds formats a time with six decimals.
func seconds(t syscall.Timeval) string {
	const perSecond = 1_000_000
	micros := t.Nano() / 1000
	return strconv.FormatInt(micros/perSecond, 10) + "." + strconv.FormatInt(micros%perSecond+perSecond, 10)[1:]
}

// appendSettings appends the settings that clients and tools look for.
func (s *Server) appendSettings(dst []byte) []byte {
	o := &s.options
	dst = appendStatInt(dst, "maxconns", int64(o.MaxConnections))
	dst = appendStat(dst, "inter", o.Listen[0])
	if addr, ok := s.Addr().(*net.TCPAddr); ok {
		dst = appendStatInt(dst, "tcpport", int64(addr.Port))
	}
	dst = appendStat(dst, "udpport", "0")
	dst = appendStatInt(dst, "verbosity", int64(o.Verbosity))
	dst = appendStatInt(dst, "num_threads", int64(len(s.loops)))
	dst = appendStat(dst, "cas_enabled", "yes")
	dst = appendStatInt(dst, "item_size_max", int64(o.ItemBytesMax))
	dst = appendStat(dst, "maxconns_fast", "yes")
	dst = appendStatInt(dst, "idle_timeout", int64(o.IdleTimeout.Seconds()))
	dst = appendStat(dst, "flush_enabled", yesNo(!o.FlushDisabled))
	dst = appendStat(dst, "shutdown_command", yesNo(o.Shutdown != nil))
	dst = appendStat(dst, "binding_protocol", "ascii")
	return appendStat(dst, "client_flags_size", "4")
}

// yesNo tells a setting as memcached does.
func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "no"
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

// totals sums the counts up.
func (s *Server) totals() totals {
	t := totals{total: s.total.Load(), rejected: s.rejected.Load()}
	for _, l := range s.loops {
		for k := range t.counts {
			t.counts[k] += l.counters.published[k].Load()
		}
	}
	return t
}

// totalsSinceReset returns the counts since the last "stats reset".
func (s *Server) totalsSinceReset() totals {
	s.resetMu.Lock()
	defer s.resetMu.Unlock()
	t := s.totals()
	t.total -= s.base.total
	t.rejected -= s.base.rejected
	for k := range t.counts {
		t.counts[k] -= s.base.counts[k]
	}
	return t
}

// resetStats makes all counts start at zero again.
func (s *Server) resetStats() {
	s.resetMu.Lock()
	defer s.resetMu.Unlock()
	s.base = s.totals()
}
