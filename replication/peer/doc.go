// Package peer carries messages between the nodes of a cluster, over TCP
// connections that persist.
//
// Read first: Transport; Hello, with which two nodes identify themselves; form.go, how
// a cluster is formed.
//
// A node dials every other node once for each stream. It sends on connections that
// it dialed, and reads from those that it accepted. The streams are separate so
// that none can delay another: control (heartbeats, votes, responses, ReadIndex),
// append (entries), forward (sub-batches on their way to the leader), snapshot
// (dialed when needed). Sending never blocks: a stream that is down or full drops
// the message and reports that.
//
// A Transport's methods may be called by any goroutine. Handler methods are
// called on the goroutine of the connection.
//
// # Frame
//
//	length 4, big endian, of what follows | MessagePack (package frame), an array:
//
//	hello    [1, version, cluster id, server id, raft id, directory id bin 16, boot,
//	          stream, [memory limit, item limit, no-evict, tick ms, election ticks],
//	          [[server id, raft id, directory id, host, log port], ...]]
//	refusal  [2, sentence]
//	raft     [3, message bin]     raft's protobuf bytes, so that no field is lost
//	forward  [4, payload bin]
//	signal   [5, payload bin]
//	snapshot [6, header bin, size]
//	chunk    [7, bytes bin]
//	end      [8]
//	verdict  [9, sentence]        empty: the snapshot is durable at the receiver
//
// The dialer sends its hello, and the other side answers with its own or with a
// refusal. Until then a frame may have up to 64 KiB, and up to 16 MiB after that.
package peer
