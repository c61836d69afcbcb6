package spawn

import "syscall"

// selfExecutable is this program, even if its file was removed or replaced.
func selfExecutable() string { return "/proc/self/exe" }

// childAttributes ties a server's life to the spawner's thread. A process group of
// its own keeps the terminal's Ctrl-C away from it: the spawner stops it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
