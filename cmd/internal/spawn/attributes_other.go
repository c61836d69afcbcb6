//go:build unix && !linux

package spawn

import (
	"os"
	"syscall"
)

// selfExecutable is this program.
func selfExecutable() string {
	file, err := os.Executable()
	if err != nil {
		return os.Args[0]
	}
	return file
}

// childAttributes gives a server its own process group, which keeps the
// terminal's Ctrl-C away from it: the spawner stops it.
func childAttributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true}
}
