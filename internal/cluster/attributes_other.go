//go:build unix && !linux

package cluster

import "syscall"

// attributes keeps the terminal's signals away from a process. There is no
// parent-death signal here: a killed test leaves its servers behind.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
