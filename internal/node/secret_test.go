package node

import (
	"strings"
	"testing"
)

// TestGuardedClusterServes with a secret, and says nothing of an open log port.
func TestGuardedClusterServes(t *testing.T) {
	var warned warnings
	nodes := openClusterWith(t, func(cfg *Config) { cfg.Secret, cfg.Logger = "sixteen bytes ok", warned.logger() })
	_, follower := awaitLeader(t, nodes)
	play(t, follower, "C: set k 0 0 1\nc: v\\r\\n\nS: STORED\n")
	if got := warned.String(); strings.Contains(got, "log port") {
		t.Errorf("warned: %s", got)
	}
}
