package replication

import pb "go.etcd.io/raft/v3/raftpb"

// input is something that happened, for the raft loop: a call of a method of the
// core, with its arguments.
type input struct {
	kind     inputKind
	peer     uint64
	loop, n  int
	tag      uint64
	bytes    []byte
	message  *pb.Message
	round    uint64
	messages []*pb.Message
	applied  *AppliedUpTo
	change   *MemberChange
	space    Space
	entries  []*pb.Entry
	err      error
	forRaft  bool
	ok       bool
}

// forwarded returns the input of a peer's sub-batches, of the start that the peer has
// shown. An error says that it has sent what cannot be applied; if there is an input
// too, that was made of the rest.
func forwarded(from, boot uint64, payload []byte, check func(int, []byte) error) (*input, error) {
	n, subs, refused, err := splitForwarded(payload, from, boot, check)
	if err != nil {
		return nil, err
	}
	return &input{kind: inputForwarded, peer: from, n: n, bytes: subs}, refused
}

type inputKind uint8

const (
	inputStep inputKind = iota
	inputSubmit
	inputRead
	inputHint
	inputForwarded
	inputSignalled
	inputInterrupted
	inputUnreachable
	inputShipped
	inputAppended
	inputApplied
	inputHandOver
	inputChange
	inputTransfer
	inputForget
	inputSpace
	inputFetched
)

// feed calls the core. An error tells that what a peer sent was of no use.
func (in *input) feed(core *Core) error {
	switch in.kind {
	case inputStep:
		return core.Step(in.message, in.round)
	case inputSubmit:
		core.Submit(in.loop, in.tag, in.n, in.bytes, in.ok)
	case inputRead:
		core.Read(in.loop, in.n)
	case inputHint:
		core.Hint(in.bytes)
	case inputForwarded:
		core.Forwarded(in.n, in.bytes)
	case inputSignalled:
		return core.Signalled(in.peer, in.bytes)
	case inputInterrupted:
		core.Interrupted(in.peer)
	case inputUnreachable:
		core.Unreachable(in.peer)
	case inputShipped:
		core.Shipped(in.peer, in.forRaft, in.ok)
	case inputAppended:
		core.Appended(in.messages)
	case inputApplied:
		core.Applied(in.applied)
	case inputHandOver:
		core.HandOver()
	case inputChange:
		core.Change(in.change)
	case inputTransfer:
		core.Transfer(in.tag, in.n)
	case inputForget:
		core.Forget(in.tag)
	case inputSpace:
		core.SetSpace(in.space)
	case inputFetched:
		core.Fetched(in.entries, in.err)
	}
	return nil
}
