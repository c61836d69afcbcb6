package replication

import (
	"os"
	"runtime/debug"
	"testing"
)

// heapBytesMax is where garbage lies no longer: under the race detector a simulation
// keeps gigabytes, as the engine's memory is on the heap there.
const heapBytesMax = 2 << 30

// TestMain lets garbage lie for longer: simulations make much of it and keep little.
func TestMain(m *testing.M) {
	if _, set := os.LookupEnv("GOGC"); !set {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(heapBytesMax)
	}
	m.Run()
}
