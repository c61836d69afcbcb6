package ctl

import (
	"strings"
	"testing"
	"time"

	"raftcached/internal/admin"
)

// TestHotKeysOfAllServersAreAdded: a key that several servers tell is one line.
func TestHotKeysOfAllServersAreAdded(t *testing.T) {
	var text strings.Builder
	err := writeHotKeys(&text, []*admin.HotKeys{
		{ID: 0, Counted: true, Keys: []admin.HotKey{{Key: "session:42", Reads: 500.4, Writes: 1}, {Key: "a%01", Reads: 600}}},
		{ID: 2, Counted: true, Keys: []admin.HotKey{{Key: "session:42", Reads: 312}}},
	})
	want := ` READS/S WRITES/S  SERVERS  KEY
 812     1         0,2      session:42
 600     0         0        a%01
`
	if err != nil || text.String() != want {
		t.Errorf("%v, wrote\n%swant\n%s", err, &text, want)
	}
	for want, servers := range map[string][]*admin.HotKeys{
		"no key is asked for often\n": {{Counted: true}, {}}, "no server looks which keys are hot: disableHotKeys is set\n": {{}},
	} {
		text.Reset()
		if err := writeHotKeys(&text, servers); err != nil || text.String() != want {
			t.Errorf("%v, wrote %q, want %q", err, &text, want)
		}
	}
}

// TestSlowCommandsOfAllServers: the newest first, with their causes, the longest first.
func TestSlowCommandsOfAllServers(t *testing.T) {
	at := time.Date(2026, 11, 27, 18, 12, 4, 0, time.Local)
	var text strings.Builder
	err := writeSlow(&text, []*admin.SlowCommands{
		{ID: 0, Commands: []admin.SlowCommand{{At: at, Command: "set", Key: "cart:9", Ms: 612.34, Causes: map[string]float64{"disk": 3, "leader": 540.2, "apply": 0.2}}}},
		{ID: 1, Commands: []admin.SlowCommand{{At: at.Add(time.Second), Command: "get", Key: "k", Ms: 100}}},
	})
	want := ` AT                  ID  COMMAND  MS     WAITED FOR          KEY
 2026-11-27 18:12:05 1   get      100.0  -                   k
 2026-11-27 18:12:04 0   set      612.3  leader 540, disk 3  cart:9
`
	if err != nil || text.String() != want {
		t.Errorf("%v, wrote\n%swant\n%s", err, &text, want)
	}
}
