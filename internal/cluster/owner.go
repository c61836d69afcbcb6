package cluster

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"syscall"
)

// ownerOf returns which of some processes holds the other end of an accepted
// connection on this machine, or -1. All servers dial from 127.0.0.1, so the address
// does not identify them, but the kernel tells the socket's inode, and /proc those of
// the descriptors of a process.
func ownerOf(conn net.Conn, pids []int) int {
	inode, err := inodeOf(conn.RemoteAddr(), conn.LocalAddr())
	if err != nil {
		return -1
	}
	for i, pid := range pids {
		if holdsSocket(pid, inode) {
			return i
		}
	}
	return -1
}

// sock_diag(7): one socket is asked for by its addresses. The table in /proc/net/tcp
// takes a busy machine milliseconds to write.
const (
	netlinkSockDiag  = 4
	sockDiagByFamily = 20
	diagRequestBytes = 16 + 56
	diagInodeAt      = 16 + 68 // in the answer
)

// inodeOf returns the inode of the TCP socket that has these two ends.
func inodeOf(local, remote net.Addr) (uint32, error) {
	fd, err := syscall.Socket(syscall.AF_NETLINK, syscall.SOCK_RAW|syscall.SOCK_CLOEXEC, netlinkSockDiag)
	if err != nil {
		return 0, fmt.Errorf("ask for a socket: %w", err)
	}
	defer func() { _ = syscall.Close(fd) }() // the answer was read
	request := make([]byte, diagRequestBytes)
	binary.NativeEndian.PutUint32(request[0:], diagRequestBytes)
	binary.NativeEndian.PutUint16(request[4:], sockDiagByFamily)
	binary.NativeEndian.PutUint16(request[6:], syscall.NLM_F_REQUEST)
	request[16], request[17] = syscall.AF_INET, syscall.IPPROTO_TCP
	binary.NativeEndian.PutUint32(request[20:], ^uint32(0)) // in any state
	for i, addr := range []net.Addr{local, remote} {
		end, err := netip.ParseAddrPort(addr.String())
		if err != nil {
			return 0, err
		}
		ip := end.Addr().Unmap().As4()
		binary.BigEndian.PutUint16(request[24+2*i:], end.Port())
		copy(request[28+16*i:], ip[:])
	}
	binary.NativeEndian.PutUint64(request[64:], ^uint64(0)) // no cookie
	if err := syscall.Sendto(fd, request, 0, &syscall.SockaddrNetlink{Family: syscall.AF_NETLINK}); err != nil {
		return 0, fmt.Errorf("ask for a socket: %w", err)
	}
	answer := make([]byte, 4096)
	n, _, err := syscall.Recvfrom(fd, answer, 0)
	if err != nil || n < diagInodeAt+4 || binary.NativeEndian.Uint16(answer[4:]) != sockDiagByFamily {
		return 0, fmt.Errorf("no socket from %v to %v: %w", local, remote, err)
	}
	return binary.NativeEndian.Uint32(answer[diagInodeAt:]), nil
}

func holdsSocket(pid int, inode uint32) bool {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false // it has ended
	}
	for _, entry := range entries {
		if link, err := os.Readlink(filepath.Join(dir, entry.Name())); err == nil && link == fmt.Sprintf("socket:[%d]", inode) {
			return true
		}
	}
	return false
}
