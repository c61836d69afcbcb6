// Package parent notices that `go run` has died. go run passes no signal on: a
// SIGTERM or SIGKILL for it would leave the program that it runs behind, with
// its ports. Nothing here matters to an installed program, which has every
// right to outlive the shell that started it.
package parent

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// pollInterval is how late the death of go run may be noticed.
const pollInterval = 200 * time.Millisecond

// IsGoRun reports whether the parent process is the go command. It is false
// where there is no /proc.
func IsGoRun() bool {
	name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", os.Getppid()))
	return err == nil && strings.TrimSpace(string(name)) == "go"
}

// WatchGoRun calls stop once when the parent is the go command and has died. It
// returns after that, or with the context, or at once if the parent is another.
func WatchGoRun(ctx context.Context, stop func()) {
	if !IsGoRun() {
		return
	}
	first := os.Getppid()
	ticker := time.NewTicker(pollInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if os.Getppid() != first {
				stop()
				return
			}
		}
	}
}
