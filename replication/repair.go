package replication

import (
	"fmt"
	"io"

	"raftcached/replication/frame"

	pb "go.etcd.io/raft/v3/raftpb"
)

const (
	// repairHeaderFields and repairVersion begin the header of a repair, see
	// doc.go. No MsgSnap begins so: its fields have numbers below 16, and so the
	// first byte of their tags is below 0x80.
	repairHeaderFields = 3
	repairVersion      = 1
)

// appendRepairHeader appends the header of the snapshot meta, sent as a repair.
func appendRepairHeader(dst []byte, meta *pb.SnapshotMetadata) []byte {
	dst = frame.AppendUint(frame.AppendArrayLen(dst, repairHeaderFields), repairVersion)
	return frame.AppendUint(frame.AppendUint(dst, meta.GetIndex()), meta.GetTerm())
}

func isRepair(header []byte) bool {
	return len(header) > 0 && header[0] == frame.AppendArrayLen(nil, repairHeaderFields)[0]
}

func readRepairHeader(header []byte) (index, term uint64, err error) {
	r := frame.NewReader(header)
	if _, err := r.ArrayLen(repairHeaderFields); err != nil {
		return 0, 0, fmt.Errorf("read header of repair: %w", err)
	}
	version, err := r.Uint64()
	if err != nil || version != repairVersion {
		return 0, 0, fmt.Errorf("repair has version %d, this program knows %d: run a newer raftcached", version, repairVersion)
	}
	if index, err = r.Uint64(); err == nil {
		term, err = r.Uint64()
	}
	return index, term, err
}

// fetchRepair stores the file of a repair.
func fetchRepair(store Snapshots, header []byte, sizeBytes int64, rd io.Reader) (*pb.SnapshotMetadata, error) {
	index, term, err := readRepairHeader(header)
	if err != nil {
		return nil, err
	}
	meta, err := store.Receive(rd, sizeBytes)
	if err != nil {
		return nil, fmt.Errorf("receive repair: %w", err)
	}
	if meta.GetIndex() != index || meta.GetTerm() != term {
		return nil, fmt.Errorf("receive repair: file is of index %d, header of %d", meta.GetIndex(), index)
	}
	return meta, nil
}

// keepDiverged writes the image of a state that is to be replaced, and removes
// the one before. An older state than the one that is kept says nothing: it is
// what a node in quarantine was started with again.
func keepDiverged(store Snapshots, image *Image) error {
	if since, err := divergedSince(store, image.Index); err != nil || since {
		return err
	}
	w, err := store.Create(&pb.SnapshotMetadata{Index: new(image.Index), Term: new(image.Term)})
	if err != nil {
		return fmt.Errorf("create image %d: %w", image.Index, err)
	}
	if err := image.write(w); err != nil {
		return fmt.Errorf("write image %d: %w", image.Index, joinAbort(err, w))
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("commit image %d: %w", image.Index, err)
	}
	return store.Prune(image.Index)
}

// divergedSince reports whether a state was put in quarantine that is beyond
// index: the state at index is from before its repair, and may have diverged too.
func divergedSince(store Snapshots, index uint64) (bool, error) {
	list, err := store.List()
	if err != nil {
		return false, fmt.Errorf("list diverged states: %w", err)
	}
	return len(list) > 0 && list[0].GetIndex() > index, nil
}
