// Package peer carries messages between the nodes of a cluster, over TCP
// connections that persist.
//
// Read first: Transport; Hello, with which two nodes identify themselves; form.go, how
// a cluster is formed; join.go, how a server comes in later; members.go, how members that
// change are followed.
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
// In a handshake, and behind it, where a checksum says that nothing was damaged on its
// way; a damaged frame ends the connection, and the other node dials again:
//
//	length 4, big endian, of the array | array
//	length 4, big endian, of the array | CRC-32C of the array 4, big endian | array
//
// The array is MessagePack (package frame):
//
//	hello    [1, least version, cluster id, server id, raft id, directory id bin 16, boot,
//	          [incarnation, ...], stream, nonce bin 16,
//	          whether it has a secret; 2: and lets in who has none,
//	          admin address,
//	          [memory limit, item limit, no-evict, tick ms, election ticks, leases],
//	          [member, ...] that formed the cluster,
//	          version, next raft id, [member, ...] of the roster; version 0: as formed,
//	          whether it may replace a folder,
//	          [lost cluster that was recovered as this one, ...]]
//	         and behind it, unless the program is of a version that speaks 8 alone,
//	         [greatest version, highest cluster version that is known, cluster version, ...]
//	member   [server id, raft id, directory id, host, client port, log port,
//	          learner, stays one, retired]
//	refusal  [2, sentence]
//	raft     [3, message bin, round]  raft's protobuf bytes, so that no field is lost; see Send
//	forward  [4, payload bin]
//	signal   [5, payload bin]
//	snapshot [6, header bin, size]
//	chunk    [7, bytes bin]
//	end      [8]
//	verdict  [9, sentence]        empty: the snapshot is durable at the receiver
//	proof    [10, bin 32]         HMAC-SHA256 of both hellos with the secret
//	accepted [11]
//	outdated [12, sentence]       a refusal: the dialer's data folder is a copy
//	removed  [13, sentence]       a refusal: it is no member any more
//	later    [14, sentence]       a refusal that passes by itself
//
// # Handshake
//
//	dialer                     acceptor
//	hello           ---->
//	                <----      hello, proof      or refusal, or hello alone
//	proof           ---->
//	                <----      accepted          or refusal, outdated, removed, later
//
// Each side tells which versions it speaks, least and greatest, and both go on in the
// greatest that they have in common. Without one the acceptor answers with its hello alone, so
// that the dialer finds that out itself. Hellos keep their form from version 8 on: what is added
// follows the second array's known values, which older programs pass over.
//
// On a join stream the dialer's folder is of no cluster. When it is accepted it waits for
//
//	<----      hello             or refusal, outdated, removed, later
//
// in whose roster it is a member.
//
// Each proof covers both hellos, and so both nonces, identities and the stream: it is
// of no use on another connection, and none for the other side. Unless both have a secret
// its key is empty, and anybody can make it. Before a side has proved the secret its
// refusal cannot end the other's process. What follows the handshake is neither encrypted
// nor signed. Whoever can change what is on its way can change that, and the checksum too.
//
// With TLS all of it, and what follows, is in a connection of TLS in which both sides have
// shown certificates: see tls.go.
//
// A connection has handshakeTimeout for its handshake, and handshakesMax of those that a
// node has accepted may be in theirs at one time.
//
// Either side compares the other's lineage with the newest that its folder has shown,
// and remembers it durably before it goes on. Until the end of the handshake a frame
// may have up to 64 KiB, and up to 16 MiB after that.
package peer
