package replication

import (
	"errors"
	"fmt"
	"log/slog"

	pb "go.etcd.io/raft/v3/raftpb"
)

// ErrNoSnapshot reports that a node has lost the snapshot after which its log begins.
var ErrNoSnapshot = errors.New("no usable snapshot")

// snapshotFile carries out, in order, what the applier wants of the snapshot that
// is being written. One goroutine owns it.
type snapshotFile struct {
	store Snapshots
	w     SnapshotWriter // nil outside of a snapshot, and in one that found the disk full
	at    position
	full  error // why the last snapshot was given up: ErrDiskFull, or nil
}

// do carries out one write and returns what the applier is to be told, if
// anything. An error is final. A snapshot that finds the disk full is given up, and its
// further parts are dropped: the log goes on without it.
func (f *snapshotFile) do(op *snapshotWrite) (told applyInput, err error) {
	switch op.kind {
	case snapshotBegin:
		f.at, f.full = op.at, nil
		w, err := f.store.Create(op.at.meta(op.conf))
		if err == nil {
			f.w = w
		}
		return applyInput{}, f.failed("create", err)
	case snapshotPart:
		if f.w != nil && op.hurry {
			f.w.Hurry()
		}
		if f.w != nil {
			_, err = f.w.Write(op.part)
		}
		return applyInput{kind: applyWritten, part: op.part}, f.failed("write", err)
	case snapshotCommit:
		if f.w == nil {
			return applyInput{kind: applyEnded, err: f.full}, nil
		}
		err := f.w.Commit()
		f.w = nil
		if err := f.failed("commit", err); err != nil || f.full != nil {
			return applyInput{kind: applyEnded, err: f.full}, err
		}
		return applyInput{kind: applyEnded, ok: true}, f.prune(op.below)
	case snapshotPrune:
		return applyInput{}, f.prune(op.below)
	default:
		return applyInput{kind: applyEnded}, f.abort()
	}
}

// failed takes the error of a write, if any, and returns the one that is final.
func (f *snapshotFile) failed(verb string, err error) error {
	if err == nil {
		return nil
	}
	if f.w != nil {
		err = errors.Join(err, f.abort())
	}
	err = fmt.Errorf("%s snapshot %d: %w", verb, f.at.index, err)
	if errors.Is(err, ErrDiskFull) {
		f.w, f.full = nil, err
		return nil
	}
	return err
}

func (f *snapshotFile) prune(below uint64) error {
	if err := f.store.Prune(below); err != nil {
		return fmt.Errorf("prune snapshots: %w", err)
	}
	return nil
}

// abort gives up the snapshot that is being written, if any.
func (f *snapshotFile) abort() error {
	if f.w == nil {
		return nil
	}
	err := f.w.Abort()
	f.w = nil
	if err != nil {
		return fmt.Errorf("abort snapshot %d: %w", f.at.index, err)
	}
	return nil
}

// restoreNewest restores the newest snapshot that the log continues. One beyond
// the committed index is of use only if the log has the entry that it was taken
// at, and so all that led to it (Raft §5.3, Log Matching): the committed index,
// which is not synced whenever it moves, is behind then, and is made good.
func restoreNewest(log Log, store Snapshots, st *state, logger *slog.Logger) error {
	hs, _, err := log.InitialState()
	if err != nil {
		return fmt.Errorf("read hard state: %w", err)
	}
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read first index: %w", err)
	}
	list, err := store.List()
	if err != nil {
		return fmt.Errorf("list snapshots: %w", err)
	}
	for _, meta := range list {
		beyond := meta.GetIndex() > max(hs.GetCommit(), first-1)
		if beyond && !inLog(log, meta) || meta.GetIndex()+1 < first {
			continue
		}
		if err = restoreSnapshot(store, meta, st); err == nil {
			if beyond {
				raised := &pb.HardState{Term: new(hs.GetTerm()), Vote: new(hs.GetVote()), Commit: new(meta.GetIndex())}
				err = log.Save(raised, nil, nil, true)
			}
			return err
		}
		if errors.Is(err, ErrLater) { // an older one would do no good
			return fmt.Errorf("snapshot %d: %w", meta.GetIndex(), err)
		}
		logger.Error("cannot use a snapshot", "index", meta.GetIndex(), "err", err)
	}
	if first > 1 {
		return errors.Join(fmt.Errorf("%w: the log begins after entry %d", ErrNoSnapshot, first-1), err)
	}
	return nil
}

// inLog reports whether the log has the entry that a snapshot was taken at.
func inLog(log Log, meta *pb.SnapshotMetadata) bool {
	last, err := log.LastIndex()
	if err != nil || last < meta.GetIndex() {
		return false
	}
	term, err := log.Term(meta.GetIndex())
	return err == nil && term == meta.GetTerm()
}

func restoreSnapshot(store Snapshots, meta *pb.SnapshotMetadata, st *state) error {
	rc, err := store.Open(meta.GetIndex(), meta.GetTerm())
	if err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	err = st.restore(meta.GetIndex(), meta.GetTerm(), rc)
	if closeErr := rc.Close(); err == nil {
		err = closeErr
	}
	return err
}
