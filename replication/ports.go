package replication

import (
	"errors"
	"io"

	pb "go.etcd.io/raft/v3/raftpb"
)

// StateMachine is the deterministic state that the log is applied to. Advance,
// Hint, Apply, Digest, View and Restore are called by the applier's goroutine
// only, or while it is held off; NextDueMs, OffsetMs, Correction, Formation, Check, Keys and SizeBytes by
// any goroutine.
type StateMachine interface {
	// Advance moves the state's time to stampMs (ms of Unix time), never back.
	// It is called once at the start of each entry and does a bounded amount of
	// what is due.
	Advance(stampMs int64)

	// Hint tells which items were read lately: hashes of 8 bytes each, in the
	// state machine's own terms, one after the other. It is called after Advance
	// and before Apply, for the entries that have hints. The slice is borrowed.
	Hint(hashes []byte)

	// Tidy does a bounded part of what can be done at any time because nobody can
	// see it, and reports whether there is more.
	Tidy() (more bool)

	// Apply applies the count operations of ops. If want is set it returns their
	// results, a value that only the Client understands and that shares no memory
	// with ops or the state. It cannot fail: what Check does not allow it refuses, in
	// the same way on all nodes.
	//
	// reads, if it is not nil, is what the Client has submitted to be read between the
	// operations, on this node alone: the results have it, and the state has no trace of it.
	Apply(count int, ops []byte, reads any, want bool) (results any)

	// Check returns an error if ops are not count operations. It depends on ops alone.
	Check(count int, ops []byte) error

	// Keys calls changed with a hash of each key that the operations may change, and
	// reports false if they may change others, or cannot be read. It depends on ops
	// alone. Eviction is no change.
	Keys(count int, ops []byte, changed func(hash uint64)) (noOthers bool)

	// TimeMs is the state's time.
	TimeMs() int64

	// NextDueMs is the time at which the state next changes by itself, and
	// math.MaxInt64 if it does not: entries are proposed then, if need be, so
	// that its time moves on.
	NextDueMs() int64

	// OffsetMs is how far the state's time is ahead of the wall clocks, and Correction an
	// encoded operation that makes it another: the times on the wall that operations name
	// are converted by it. It changes no key.
	OffsetMs() int64
	Correction(offsetMs int64) []byte

	// Formation is the one encoded operation with which the log must begin, while
	// it has not been applied; then it is nil for good. Applying it again, even in
	// another wording, has no effect.
	Formation() []byte

	// Digest is equal on two nodes whose state is equal, in two parts: the items
	// and their order.
	Digest() (contents, order uint64)

	// View is the state as of now, for a snapshot. There is one at a time.
	View() View

	// Restore replaces the state by one that View wrote, or leaves it as it is
	// and returns an error.
	Restore(r io.Reader) error

	// SizeBytes estimates the bytes that View writes.
	SizeBytes() int64
}

// View is a state machine's state at one index, written bit by bit while later
// entries are applied. It is used by the applier's goroutine only, one at a time.
type View interface {
	// Next appends the next part to dst, so little that nobody waits for it, and
	// nothing if that would take long to find. more is false with the last one. An error says that the view is lost, because the
	// state that it is of was replaced.
	Next(dst []byte) (out []byte, more bool, err error)

	// Behind reports whether Next should be called before anything else is
	// applied: what is kept for the view has reached its bound.
	Behind() bool
}

// Log is the durable raft log. Its reading side may be called by any goroutine,
// with the meaning and errors of raft.Storage; Save and Compact by one at a
// time. An error of Save or Compact is final: the process ends (design: never
// retry a failed sync).
type Log interface {
	InitialState() (*pb.HardState, *pb.ConfState, error)
	Entries(lo, hi, maxSize uint64) ([]*pb.Entry, error)

	// Recent is Entries without waiting for a disk: false if not all of them are in
	// memory.
	Recent(lo, hi, maxSize uint64) ([]*pb.Entry, bool)

	// Heads returns the first of the entries, without their data and without waiting
	// for a disk.
	Heads(lo, hi uint64) ([]*pb.Entry, error)
	Term(i uint64) (uint64, error)
	FirstIndex() (uint64, error)
	LastIndex() (uint64, error)

	// Save writes the hard state (if not nil) and the entries, which replace
	// any at or after their first index. With snap the log starts anew behind
	// that snapshot. It returns after one sync, if sync is asked for; entries
	// are readable only then. If the error is ErrDiskFull nothing was written, and
	// the same may be tried again.
	Save(hs *pb.HardState, ents []*pb.Entry, snap *pb.SnapshotMetadata, sync bool) error

	// Compact lets the entries up to and including index go.
	Compact(index uint64) error
}

// ErrDiskFull is what Log and Snapshots return, wrapped, if the disk has no room. Unlike
// any other error of theirs it does not end the node.
var ErrDiskFull = errors.New("the disk is full")

// Snapshots keeps snapshot files. What Commit or Receive returned without an
// error is durable and complete.
type Snapshots interface {
	Create(meta *pb.SnapshotMetadata) (SnapshotWriter, error)
	// Open returns the contents, which are checked as they are read.
	Open(index, term uint64) (io.ReadCloser, error)
	// Raw returns the file as it is, for Receive on another node. Reading it fails if
	// it is damaged, before the damage is returned. Raw itself waits for no disk.
	Raw(index, term uint64) (rc io.ReadCloser, sizeBytes int64, err error)
	Receive(r io.Reader, sizeBytes int64) (*pb.SnapshotMetadata, error)
	// SetAside checks a file that could not be read. If it is damaged, List does not
	// return it any more.
	SetAside(index, term uint64) (damaged bool, err error)
	// List returns the snapshots, the newest first.
	List() ([]*pb.SnapshotMetadata, error)
	// Newest returns the first one of them, or nil. It waits for no disk.
	Newest() *pb.SnapshotMetadata
	// Prune removes those of an index below the given one.
	Prune(below uint64) error
}

// SnapshotWriter takes one snapshot's contents. Either Commit or Abort ends it.
type SnapshotWriter interface {
	io.Writer
	// Hurry has the rest written as fast as possible, whatever else waits for the disk.
	Hurry()
	Commit() error
	Abort() error
}

// Transport carries messages to peers. No method blocks; false means that the
// message was dropped. Slices belong to the transport after the call, and raft
// messages are read, never changed.
type Transport interface {
	// Send carries a round with a message, see Round; 0: none.
	Send(m *pb.Message, round uint64) bool
	Forward(to uint64, payload []byte) bool
	Signal(to uint64, payload []byte) bool
	// Direct has small messages sent without a wait for others that could leave with
	// them, or not.
	Direct(direct bool)
	// SendSnapshot streams a snapshot file, closes it, and calls done once, when
	// the peer has it on disk or the attempt has failed.
	SendSnapshot(to uint64, header []byte, sizeBytes int64, file io.ReadCloser, done func(error))
}

// Client is an event loop as replication sees it. Its methods are called from
// the raft loop's and the applier's goroutines, in each case in the order of
// the loop's tags and reads; they must not block, and take over the slices.
type Client interface {
	// Answers hands over the answers of applied sub-batches.
	Answers(a []Answer)
	// Expired tells that a sub-batch was not applied in time, or refused. Unless sent
	// is set it never will be. Earlier ones may still be unanswered.
	Expired(tag uint64, sent bool, why Refusal)
	// ReadsDone answers the n oldest reads: ok if the state machine now shows
	// everything that was acknowledged before they were asked for.
	ReadsDone(n int, ok bool)
	// Moved tells that what the loop waits for by Gate.Await may have come.
	Moved()
}

// Answer is what became of one sub-batch.
type Answer struct {
	Tag     uint64
	Results any // of StateMachine.Apply; nil if the origin gave the sub-batch up
}
