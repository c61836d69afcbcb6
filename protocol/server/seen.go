package server

import (
	"strconv"
	"time"

	"raftcached/internal/measure"
	"raftcached/protocol"
)

// What was measured, as stats tells it. Keys are escaped as in a dump: they may hold any
// bytes. Where clients may not list keys they are not told.

// seenStats answers "stats latency", "stats hotkeys" and "stats slow".
func (s *Server) seenStats(arg string) (list protocol.StatList, known bool) {
	switch arg {
	case "latency":
		m := s.Measured()
		for c := range measure.CommandCount {
			d := &m.Latencies[c]
			if d.Count() == 0 {
				continue
			}
			list.AddInt(c.String()+":count", int64(d.Count()))
			for _, q := range []struct {
				name string
				part float64
			}{{"p50", 0.5}, {"p99", 0.99}, {"p999", 0.999}} {
				list.AddInt(c.String()+":"+q.name+"_us", d.Quantile(q.part).Microseconds())
			}
		}
	case "hotkeys":
		keys, counted := s.HotKeys()
		switch {
		case !counted:
			list.Add("hotkeys_status", "disabled")
		case s.options.DumpDisabled:
			list.Add("hotkeys_status", "not told: the server was started with -X")
		}
		for i := range keys {
			k, name := &keys[i], strconv.Itoa(i+1)
			if s.options.DumpDisabled {
				break
			}
			list.Add(name+":key", string(protocol.AppendEscaped(nil, []byte(k.Key))))
			list.AddInt(name+":reads_per_second", int64(k.Reads+0.5))
			list.AddInt(name+":writes_per_second", int64(k.Writes+0.5))
		}
	case "slow":
		commands, seen := s.Slow()
		list.AddInt("slow_time_us", s.options.SlowTime.Microseconds())
		list.AddInt("slow_commands", int64(seen))
		for i := range commands {
			addSlow(&list, strconv.Itoa(i+1), &commands[i], !s.options.DumpDisabled)
		}
	default:
		return nil, false
	}
	return list, true
}

func addSlow(list *protocol.StatList, name string, c *measure.Slow, withKey bool) {
	list.Add(name+":at", c.At.UTC().Format(time.RFC3339Nano))
	list.Add(name+":command", c.Command.String())
	if withKey {
		list.Add(name+":key", string(protocol.AppendEscaped(nil, []byte(c.Key))))
	}
	list.AddInt(name+":us", c.Took.Microseconds())
	for cause, d := range c.Causes {
		if d >= time.Microsecond {
			list.AddInt(name+":"+measure.Cause(cause).String()+"_us", d.Microseconds())
		}
	}
}
