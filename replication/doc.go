// Package replication keeps a StateMachine equal on all nodes of a cluster: it
// drives raft over entries that are batches of opaque operations.
//
// Read first: machine, a node as three step machines without goroutines: Core,
// Appender and Applier; then Replica, which carries out in production what they
// want done. A simulation (sim_test.go) does so from one seeded queue of events,
// with a checker of the invariants.
//
// What crosses the border: sub-batches of operations in (Submit), answers out
// (Client), raft messages and forwarded sub-batches from and to Transport,
// entries and hard states to Log, state to Snapshots. The package knows nothing
// of what an operation means.
//
// # Exactly once
//
// An event loop's operations leave their node (the origin) as numbered
// sub-batches. The replicated state holds, for each (origin, loop), the boot
// number and the last sequence number applied: a sub-batch has effect only if
// it is the next one. So an origin may send a sub-batch again whenever it is in
// doubt; see origin.
//
// # What the cluster writes itself
//
// The first entry with data of every log is the state machine's formation
// (Core.form): what all nodes must have in common is in the log. It is a
// sub-batch of origin 0, which no node has: it goes by no row, and nobody waits
// for its answer.
//
// Read hints are hashes of what clients read at some node. They travel to the
// leader in signals, and join entries that are proposed anyway, up to a tenth of
// the bytes of their sub-batches. A lost one has no consequence but a worse
// choice of what to evict; one in the log reaches all state machines alike.
//
// # Members
//
// Who belongs to the cluster is part of the replicated state (Membership), and
// raft's configuration with it. A log begins with the members that formed the
// cluster; every change after that is an entry of type EntryConfChangeV2, which all
// nodes apply, or refuse, alike (change.go). The applier reports it, and Core has
// raft change its configuration before it learns that the entry was applied. What
// raft starts with is the configuration of the restored state, never the log's.
//
// A raft id comes from a counter in the state and is one data folder's for good.
// With a member go its exactly-once rows, and no sub-batch of its applies any more.
// A node that was removed answers no clients, but votes and appends until a member
// tells it that it was.
//
// # Leases
//
// With leases a node answers reads by what is in its own log: the leader while a majority
// has promised to elect nobody else (promise, leaderLease), other nodes while the leader
// has granted them a lease, and publishes nothing that they do not have (holders,
// readLease). Gate is what event loops ask. Which leases there are is part of the members,
// and changes with them (ChangeLeases); the promises are always made.
//
// # Cluster version
//
// Nodes of two programs may be in one cluster. What only the newer one can read is not
// written before the cluster version allows it, which the leader raises (ChangeVersion) when
// every member tells that it can; see version.go.
//
// # Equal states
//
// What makes nodes equal is that they apply the same log the same way. Whether
// they are is checked: each digests its state at the same indexes, which follow
// from the log, and compares. A node that a majority contradicts distrusts its
// state, never its log; see quarantine (the core), frozen (the applier),
// divergence (who is right).
//
// # Moving leadership
//
// A leader that is about to stop, or whose disk stands still, has another voter take
// over; see handover.
//
// # Room on disks
//
// Writes are refused, before they get a number, while too few voters have room for a
// majority; see spaces. A disk that is full nevertheless is to raft one that does not
// answer: the append worker waits, and cuts the log as far as that is allowed.
//
// # Formats
//
// Everything is MessagePack (package frame). A sub-batch:
//
//	array 7: origin uint | boot uint | loop uint | seq uint | tag uint | count uint | ops bin
//
// A log entry, which concatenates the sub-batches of all nodes undecoded:
//
//	array 4: version uint (1) | stamp int, ms of Unix time | hints | array n of sub-batch
//	hints: nil, or bin of n times 8 bytes, 64 KiB at most
//
// A forwarded payload is an array n of sub-batch. A signal is an array that begins
// with its kind; one of an unknown kind is of a later version, and ignored, as further
// fields are. Every node tells the others its wall clock once a second, and the cluster
// version that it can do if that is more than 1, its digest when it has
// compared and its newest one again once a second; one in quarantine asks a peer
// for a state at the index of its own, or later:
//
//	array 2: kind uint (1) | wall clock int, ms of Unix time
//	array 3: kind uint (1) | wall clock int, ms of Unix time | cluster version uint
//	array 4: kind uint (3) | index uint | contents uint | order uint
//	array 2: kind uint (4) | index uint
//
// A node that is about to stop tells so with every heartbeat:
//
//	array 1: kind uint (5)
//
// A node that was asked for a change of the members, or to move leadership, asks the
// leader of a term, which answers only if it refuses. The change is encoded as in an
// entry; of a transfer (1 for what) its id and server id count, of one to any server
// (2) its id:
//
//	array 5: kind uint (6) | term uint | change bin | force bool | what uint
//	array 5: kind uint (7) | term uint | id uint | changes before uint | reason str
//
// A node that is no member any more, or that has no leader, tells the others which
// change of the members it knows to be committed, once in an election timeout:
//
//	array 3: kind uint (9) | index uint | term uint
//
// A node whose disk is low, or that leads and refuses writes, tells so every 500 ms,
// and at once when that changes:
//
//	array 3: kind uint (8) | low bool | refusing bool
//
// A node at which clients read asks the leader of its term for a read lease, every 20 ms,
// or if it has nothing else to do with each heartbeat, or after 60 ms: its boot number,
// its monotonic clock in ns, and the index up to which its log matches the leader's in
// this term. The leader grants one by repeating that, with the length in ns and the index
// that the log must have reached. Before it moves leadership it calls its leases back;
// what a node has asked for up to the time of its answer is void then:
//
//	array 5: kind uint (10) | term uint | boot uint | clock uint | index uint
//	array 6: kind uint (11) | term uint | boot uint | clock uint | length uint | index uint
//	array 2: kind uint (12) | term uint
//	array 4: kind uint (13) | term uint | boot uint | clock uint
//
// A snapshot's file travels with a header: raft's MsgSnap, or for the answer to a
// signal of kind 4 an array, which no protobuf message of raft begins like:
//
//	array 3: version uint (1) | index uint | term uint
//
// A signal of read hints, to the leader every 50 ms while there are any:
//
//	array 2: kind uint (2) | hints bin
//
// The head of a snapshot, before the state machine's own stream:
//
//	length uint32 little endian | array 3: version uint (1) | last stamp int | array n of row
//	row, array 4: origin uint | loop uint | boot uint | seq uint
//
// Once the members are no longer those that formed the cluster, or the leases have been
// changed, it is of version 4, an array of 4 with them behind the rows. In version 3 they
// do not tell which leases there are (0: as the cluster was formed, 1 off, 2 leader,
// 3 all), in version 2 neither whether they are settled. Once the cluster version was raised
// it is of version 5, and they have that at the end of an array 7:
//
//	array 6: changes so far uint | next raft id uint | array n of member | configuration |
//	    settled bool | leases uint
//	member, array 9: server id uint | raft id uint | directory id bin 16 | host str |
//	    client port uint | log port uint | learner bool | stays bool | retired bool
//	configuration, array 5: voters | learners | outgoing voters | next learners, each an
//	    array of raft ids | leaves a joint configuration by itself bool
//
// The context of raft's ConfChangeV2 in an entry that changes the members:
//
//	array 10: version uint (1) | kind uint | changes before uint | id uint | server id uint |
//	    directory id bin 16 | host str | client port uint | log port uint | stays bool
//
// One that changes the leases is of version 2, and has them at the end of an array 11; one
// that raises the cluster version is of version 3, and likewise has that.
//
// # Concurrency
//
// Each step machine belongs to one goroutine. A step machine is pure: it reads no
// clock, waits for nothing, and does no IO: what raft needs of the log is in memory,
// or is read by another goroutine (history). Inputs are calls of its methods; what it wants done comes out as a list
// of effects, which its goroutine carries out in order. Step machines share no
// memory: what one has for another is an effect here, a message in an inbox, and
// an input there. Only Applier.Digest may be called by any goroutine. What event
// loops may know without asking is in Gate, atomic words that are stored before the
// effects of the raft loop and of the applier are carried out.
//
//	                  peers                         event loops
//	                  |   ^                          |     ^ ^
//	 raft messages,   v   |  raft messages, ships    v     | | answers
//	 sub-batches    +----------------------------------+   | |
//	                |            raft loop: Core       |---+ |
//	                +----------------------------------+     |
//	MsgStorageAppend |   ^ responses          |    ^ report, |
//	                 v   |   MsgStorageApply, |    | no ship |
//	      +---------------+   freeze, serve   v    |         |
//	      | append worker |  install, reply  +-----------------+
//	      |   Appender    |<---------------->| applier: Applier |
//	      +---------------+       cut        +-----------------+
//	              |                             |    ^ part written, ended
//	              v                       parts v    |
//	         the raft log                 +-----------------+
//	                                      | snapshot writer |
//	                                      +-----------------+
//
// Where the order of messages matters, it is the order of one list of effects:
//
//   - Appender: save, then install, then restart the log, then respond. The append
//     worker waits for the applier's reply to an install, nobody for the append
//     worker.
//   - Applier: answers, then the report of what was applied; and both before a
//     snapshot replaces the state. After a repair, old snapshots are removed before
//     the repair is reported.
//   - schedule: begin, parts, commit or abort. The log is cut after the commit, at
//     the snapshot before, or at this one while the disk has little room.
//   - arrival, on the goroutine that receives a snapshot: a repair is offered to the
//     applier first, and only a durable file is made known.
package replication
