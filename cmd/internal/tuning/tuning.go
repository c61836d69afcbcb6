// Package tuning sets what a server's process asks of Go's runtime and of the C library:
// how many processors it uses, how exact its timers are, how soon its heap is collected and
// given back, and how much address space malloc takes. An operator's own choice in the
// environment goes before it.
//
// Read first: Tune.
package tuning

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// heapGrowthPercent is by how much Go's heap may grow over what is in use before
// it is collected, unless GOGC says otherwise. Items are not on it: what is in
// use is little, and so is the cost of looking at it more often.
const heapGrowthPercent = 50

// Tune is called first by a program that becomes a server, on its main goroutine. It may
// start the program again, with the same arguments.
func Tune() {
	startAgain()
	runtime.UnlockOSThread()
	governProcessors()
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(heapGrowthPercent)
		go giveBack(time.Tick(giveBackGap))
	}
}
