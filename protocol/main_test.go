package protocol_test

import (
	"flag"
	"fmt"
	"os"
	"testing"
)

// TestMain leaves a short run out: the package has no goroutines, and nothing for the race
// detector to find.
func TestMain(m *testing.M) {
	if flag.Parse(); testing.Short() {
		fmt.Println("nothing is tested in a short run")
		return
	}
	os.Exit(m.Run())
}
