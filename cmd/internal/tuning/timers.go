package tuning

import (
	"time"

	"golang.org/x/sys/unix"
)

// timerSlack is by how much longer than they ask the threads of a server may sleep. Linux
// allows 50 µs by default.
//
// Go's monitor thread sleeps for 20 µs at a time while anything runs, and gives the
// processor of a thread that it finds in the same system call twice to another one. Of a
// sync of the log, which takes 60 to 300 µs, that is true nearly always, and it costs three
// switches of threads. With more slack the monitor wakes less often, and a short sync
// keeps its processor (decision 68). A timer of a server counts in milliseconds.
const timerSlack = time.Millisecond

// LoosenTimers gives the calling thread, and all threads and processes that it starts from
// now on, the slack of timers that a server has. It reports false if the thread has as much
// or more already, or cannot have it.
func LoosenTimers() bool {
	slack, err := unix.PrctlRetInt(unix.PR_GET_TIMERSLACK, 0, 0, 0, 0)
	return err == nil && time.Duration(slack) < timerSlack && unix.Prctl(unix.PR_SET_TIMERSLACK, uintptr(timerSlack), 0, 0, 0) == nil
}
