//go:build !raftcached_next

package peer

const protocolGreatest = 8 // see protocolLeast
