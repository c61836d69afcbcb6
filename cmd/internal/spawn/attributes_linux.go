package spawn

import "syscall"

// selfExecutable is this program, also if its file was removed or replaced.
func selfExecutable() string { return "/proc/self/exe" }

// childAttributes ties a server's life to the spawner's thread. Its own process
// group keeps the terminal's Ctrl-C from it: the spawner stops it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
