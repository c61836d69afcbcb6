package node

import (
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/measure"
	"raftcached/protocol"
)

// HotKeys implements admin.Node.
func (n adminNode) HotKeys() admin.HotKeys {
	h := admin.HotKeys{ID: n.cfg.ServerID, Sampling: measure.SampleEvery, Keys: []admin.HotKey{}}
	if n.life.stage.Load() < stageServing {
		return h
	}
	keys, counted := n.front.HotKeys()
	h.Counted = counted
	for _, k := range keys {
		h.Keys = append(h.Keys, admin.HotKey{Key: escaped(k.Key), Reads: k.Reads, Writes: k.Writes})
	}
	return h
}

// Slow implements admin.Node.
func (n adminNode) Slow() admin.SlowCommands {
	s := admin.SlowCommands{ID: n.cfg.ServerID, FromMs: inMs(n.cfg.Server.SlowTime), Commands: []admin.SlowCommand{}}
	if n.life.stage.Load() < stageServing {
		return s
	}
	commands, seen := n.front.Slow()
	s.SinceStart = seen
	for i := range commands {
		c := &commands[i]
		slow := admin.SlowCommand{At: c.At, Command: c.Command.String(), Key: escaped(c.Key), Ms: inMs(c.Took), Causes: map[string]float64{}}
		for cause, d := range c.Causes {
			if d > 0 {
				slow.Causes[measure.Cause(cause).String()] = inMs(d)
			}
		}
		s.Commands = append(s.Commands, slow)
	}
	return s
}

func escaped(key string) string { return string(protocol.AppendEscaped(nil, []byte(key))) }

func inMs(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
