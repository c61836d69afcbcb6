package tuning

import (
	"os"
	"syscall"
)

// ArenasVariable tells the C library how many arenas its malloc may have. Who starts a server
// may set it to 1: the server does not start itself again then.
const ArenasVariable = "MALLOC_ARENA_MAX"

// limitArenas starts the program again, with one arena for C's malloc, if its address
// space is limited, as by ulimit -v. Built with cgo, as Go does where there is a C
// compiler, it has one for each thread otherwise: 64 MiB that nobody uses, and soon
// nothing is left of what is allowed.
func limitArenas() {
	var limit syscall.Rlimit
	if os.Getenv(ArenasVariable) != "" || syscall.Getrlimit(syscall.RLIMIT_AS, &limit) != nil || limit.Cur >= 1<<40 {
		return
	}
	if program, err := os.Executable(); err == nil {
		_ = syscall.Exec(program, os.Args, append(os.Environ(), ArenasVariable+"=1")) // if it fails, this process goes on
	}
}
