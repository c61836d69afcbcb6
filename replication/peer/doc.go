// Package peer carries messages between the nodes of a cluster, over TCP
// connections that persist.
//
// Read first: Transport; Hello, by which two nodes make sure of each other; form.go,
// how a cluster comes into being.
//
// A node dials every other one once for each stream, and sends on what it
// dialed; what it accepted it only reads. The streams are kept apart so that
// none can hold up another: control (heartbeats, votes, responses, ReadIndex),
// append (entries), forward (sub-batches on their way to the leader), snapshot
// (dialed when needed). Sending never blocks: a stream that is down, or holds
// too much already, drops what it is given and says so.
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
// The dialer sends its hello, the other side answers with its own or with a
// refusal. A frame of up to 16 MiB is read only after that, before it one of
// 64 KiB at most.
package peer
