package node

import "testing"

// TestFilesOfAllPorts: those who keep the admin port and the one for probes busy leave the
// log its files.
func TestFilesOfAllPorts(t *testing.T) {
	const most = 64 + 1 // connections, and one to which one of them gives way
	alone := loneConfig(t)
	for port, change := range map[string]func(*Config){
		"the admin port":  func(c *Config) { c.AdminAddr = "127.0.0.1:0" },
		"--health-listen": func(c *Config) { c.HealthAddr = "127.0.0.1:0" },
	} {
		with := alone
		change(&with)
		if more := with.otherFiles() - alone.otherFiles(); more < most {
			t.Errorf("%s adds %d files, want %d at least", port, more, most)
		}
	}
}
