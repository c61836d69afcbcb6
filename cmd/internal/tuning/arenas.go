package tuning

import (
	"os"
	"syscall"
)

// ArenasVariable tells the C library how many arenas its malloc may have. Who starts a server
// may set it to 1: the server need not start itself again for it then.
const ArenasVariable = "MALLOC_ARENA_MAX"

// needsOneArena reports whether C's malloc is to have one arena: if the address space is
// limited, as by ulimit -v. Built with cgo, as Go does where there is a C compiler, it has
// one for each thread otherwise: 64 MiB that nobody uses, and soon nothing is left of what
// is allowed.
func needsOneArena() bool {
	var limit syscall.Rlimit
	return os.Getenv(ArenasVariable) == "" && syscall.Getrlimit(syscall.RLIMIT_AS, &limit) == nil && limit.Cur < 1<<40
}
