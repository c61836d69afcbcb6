package cluster

import "syscall"

// attributes ties a process to the thread that starts it, and keeps the terminal's
// signals away from it.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}
