//go:build race

package engine

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

const unlockedWrite = "RAFTCACHED_TEST_UNLOCKED_WRITE"

// TestRaceDetectorSeesTheArena shows that the race detector watches the memory
// of items: a test of its own process writes to an item while a reader is in it.
func TestRaceDetectorSeesTheArena(t *testing.T) {
	if os.Getenv(unlockedWrite) != "" {
		writeUnlocked(t)
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestRaceDetectorSeesTheArena$")
	cmd.Env = append(os.Environ(), unlockedWrite+"=1")
	out, err := cmd.CombinedOutput()
	if err == nil || !strings.Contains(string(out), "DATA RACE") {
		t.Fatalf("a write without regard to readers was not reported: %v\n%s", err, out)
	}
}

func writeUnlocked(t *testing.T) {
	e := newEngine(t, testLimits)
	one(t, e, k(OpSet, "a value of some words"))
	f := e.st.Find([]byte("k"))
	started, done := make(chan struct{}), make(chan struct{})
	r := e.NewReader()
	go func() {
		defer close(done)
		r.View(nil, []byte("k"), func(dst, _ []byte, it Item) []byte {
			close(started)
			return append(dst, it.Value...)
		})
	}()
	<-started
	_, value, _ := f.Read()
	// The detector remembers few accesses to each 8 bytes: not those of the key.
	value[10] = 'V'
	<-done
}
