package replication

import (
	"os"
	"runtime/debug"
	"testing"
)

// TestMain lets garbage lie for longer: simulations make much of it and keep little.
func TestMain(m *testing.M) {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(400)
	}
	m.Run()
}
