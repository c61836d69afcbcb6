package node

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"raftcached/internal/settings"
)

func TestSecretIsRead(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "secret")
		must(t, os.WriteFile(name, []byte(text), 0o600))
		return name
	}
	for _, c := range []struct {
		secret, file, want, wrong string
	}{
		{"", "", "", ""},
		{"sixteen bytes ok", "", "sixteen bytes ok", ""},
		{"", write("  sixteen bytes ok\n"), "sixteen bytes ok", ""},
		{"short", "", "", "the secret has 5 bytes: choose one of 16 to 4096"},
		{"", write("\n"), "", "has 0 bytes: choose one of 16 to 4096"},
		{"", write(strings.Repeat("x", 10_000)), "", "has 8192 bytes"},
		{"", "does-not-exist", "", "does-not-exist"},
		{"sixteen bytes ok", "f", "", "leave one out"},
	} {
		n := &Node{cfg: Config{Secret: c.secret, SecretFile: c.file}}
		got, err := n.readSecret()
		var wrong *settings.Error
		if string(got) != c.want || (err != nil) != (c.wrong != "") || err != nil && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("secret %q, file %q: %q, %v; want %q, %q", c.secret, c.file, got, err, c.want, c.wrong)
		}
	}
}

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
