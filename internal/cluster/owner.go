package cluster

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// ownerOf returns which of some processes holds the other end of an accepted
// connection on this machine, or -1. All servers dial from 127.0.0.1, so the address
// does not identify them, but /proc does: the table of connections has the socket's
// inode, and so do the descriptors of a process.
func ownerOf(conn net.Conn, pids []int) int {
	remote, err := netip.ParseAddrPort(conn.RemoteAddr().String())
	if err != nil {
		return -1
	}
	table, err := os.ReadFile("/proc/net/tcp")
	if err != nil {
		return -1
	}
	local, err := netip.ParseAddrPort(conn.LocalAddr().String())
	if err != nil {
		return -1
	}
	ends := hexAddr(remote) + " " + hexAddr(local)
	for line := range strings.Lines(string(table)) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[1]+" "+fields[2] != ends {
			continue
		}
		for i, pid := range pids {
			if holdsSocket(pid, fields[9]) {
				return i
			}
		}
	}
	return -1
}

// hexAddr writes an IPv4 address and port as /proc/net/tcp does: the address as
// a little-endian number.
func hexAddr(a netip.AddrPort) string {
	ip := a.Addr().Unmap().As4()
	return fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], a.Port())
}

func holdsSocket(pid int, inode string) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // it has ended
	}
	for _, entry := range entries {
		if link, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && link == "socket:["+inode+"]" {
			return true
		}
	}
	return false
}
