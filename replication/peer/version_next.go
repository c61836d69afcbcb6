//go:build raftcached_next

package peer

// protocolGreatest is that of the program to come: what follows a handshake is as before.
const protocolGreatest = 9
