package tuning

import (
	"os"
	"runtime"
	"syscall"
)

// startedVariable is in the environment of a program that has started itself again, until
// it has seen that.
const startedVariable = "RAFTCACHED_STARTED_AGAIN"

// The program starts itself again on the thread with which it was started: on another one
// it would lose the signal that it is to get when its parent dies.
func init() { runtime.LockOSThread() }

// startAgain starts the program once more, with the same arguments, if something is to
// hold from its first moment on: the arenas of C's malloc, and what Go's monitor thread gets
// from the thread that starts it. If that fails, this process goes on.
func startAgain() {
	if _, again := os.LookupEnv(startedVariable); again {
		_ = os.Unsetenv(startedVariable) // it is no setting; a variable that is there can be removed
		return
	}
	environment := append(os.Environ(), startedVariable+"=1")
	oneArena := needsOneArena()
	if oneArena {
		environment = append(environment, ArenasVariable+"=1")
	}
	if !LoosenTimers() && !oneArena {
		return
	}
	if program, err := os.Executable(); err == nil {
		_ = syscall.Exec(program, os.Args, environment)
	}
}
