package replication

import (
	"fmt"
	"io"
	"log/slog"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// snapshotter writes snapshots in the background, one at a time, and then lets
// go of the log up to the snapshot before, and of older snapshots. So whoever
// receives the newest one finds the entries that follow it, and a node whose
// newest file is damaged starts from the one before.
type snapshotter struct {
	log   Log
	store Snapshots
	wg    sync.WaitGroup

	mu        sync.Mutex
	writing   bool
	compactTo uint64 // for the append worker
	newest    uint64
}

// newSnapshotter returns the snapshotter of a node whose state was restored from
// the snapshot at index newest, 0 if there was none.
func newSnapshotter(log Log, store Snapshots, newest uint64) *snapshotter {
	return &snapshotter{log: log, store: store, newest: newest}
}

// take captures the applier's state, on its goroutine, and writes it in the
// background, unless a snapshot is being written already.
func (s *snapshotter) take(a *Applier, fail func(error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing {
		return
	}
	s.writing = true
	image := a.Image()
	s.wg.Go(func() {
		if err := s.write(image); err != nil {
			fail(err)
		}
	})
}

func (s *snapshotter) write(image *Image) error {
	s.mu.Lock()
	before := s.newest
	s.mu.Unlock()
	if err := writeSnapshot(s.log, s.store, image, before); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.compactTo, s.newest = s.newest, image.Index
	s.writing = false
	return nil
}

// compact lets the log go up to where the last snapshot allows. Only the append
// worker calls it.
func (s *snapshotter) compact() error {
	s.mu.Lock()
	index := s.compactTo
	s.compactTo = 0
	s.mu.Unlock()
	if index == 0 {
		return nil
	}
	return compactLog(s.log, index)
}

func (s *snapshotter) wait() { s.wg.Wait() }

// writeSnapshot writes the image durably and removes the snapshots of an index
// below before. One that was received and not installed yet is newer, and counts
// for nothing.
func writeSnapshot(log Log, store Snapshots, image *Image, before uint64) error {
	_, conf, err := log.InitialState()
	if err != nil {
		return fmt.Errorf("read configuration: %w", err)
	}
	w, err := store.Create(&pb.SnapshotMetadata{ConfState: conf, Index: new(image.Index), Term: new(image.Term)})
	if err != nil {
		return fmt.Errorf("create snapshot %d: %w", image.Index, err)
	}
	if _, err := image.WriteTo(w); err != nil {
		return fmt.Errorf("write snapshot %d: %w", image.Index, joinAbort(err, w))
	}
	if err := w.Commit(); err != nil {
		return fmt.Errorf("commit snapshot %d: %w", image.Index, err)
	}
	if err := store.Prune(before); err != nil {
		return fmt.Errorf("prune snapshots: %w", err)
	}
	return nil
}

func joinAbort(err error, w SnapshotWriter) error {
	if abortErr := w.Abort(); abortErr != nil {
		return fmt.Errorf("%w (and abort: %w)", err, abortErr)
	}
	return err
}

// compactLog lets the log go up to index, if it reaches so far back.
func compactLog(log Log, index uint64) error {
	first, err := log.FirstIndex()
	if err != nil {
		return fmt.Errorf("read first index: %w", err)
	}
	if index < first {
		return nil
	}
	if err := log.Compact(index); err != nil {
		return fmt.Errorf("compact log to %d: %w", index, err)
	}
	return nil
}

// restoreNewest restores the newest snapshot that the log continues: one beyond
// the committed index is of no use, because the log may lack what led to it.
func restoreNewest(log Log, store Snapshots, a *Applier, logger *slog.Logger) error {
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
		if meta.GetIndex() > max(hs.GetCommit(), first-1) || meta.GetIndex()+1 < first {
			continue
		}
		if err = restoreSnapshot(store, meta, a); err == nil {
			return nil
		}
		logger.Error("cannot use a snapshot", "index", meta.GetIndex(), "err", err)
	}
	if first > 1 {
		return fmt.Errorf("no usable snapshot at index %d or later, where the log begins: %w", first-1, err)
	}
	return nil
}

func restoreSnapshot(store Snapshots, meta *pb.SnapshotMetadata, a *Applier) error {
	rc, err := store.Open(meta.GetIndex(), meta.GetTerm())
	if err != nil {
		return fmt.Errorf("open snapshot: %w", err)
	}
	err = a.Restore(meta.GetIndex(), meta.GetTerm(), rc)
	if closeErr := rc.Close(); err == nil {
		err = closeErr
	}
	return err
}

// shipSnapshot sends the file of a MsgSnap. When it returns an error, done is
// not called.
func shipSnapshot(store Snapshots, t Transport, m *pb.Message, done func(error)) error {
	meta := m.GetSnapshot().GetMetadata()
	header, err := proto.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode MsgSnap: %w", err)
	}
	rc, size, err := store.Raw(meta.GetIndex(), meta.GetTerm())
	if err != nil {
		return fmt.Errorf("open snapshot %d: %w", meta.GetIndex(), err)
	}
	t.SendSnapshot(m.GetTo(), header, size, rc, done)
	return nil
}

// receiveSnapshot stores the file of a MsgSnap and returns the message, which
// may be stepped now.
func receiveSnapshot(store Snapshots, header []byte, sizeBytes int64, rd io.Reader) (*pb.Message, error) {
	m := new(pb.Message)
	if err := proto.Unmarshal(header, m); err != nil {
		return nil, fmt.Errorf("decode MsgSnap: %w", err)
	}
	meta, err := store.Receive(rd, sizeBytes)
	if err != nil {
		return nil, fmt.Errorf("receive snapshot: %w", err)
	}
	if want := m.GetSnapshot().GetMetadata(); m.GetType() != pb.MsgSnap || meta.GetIndex() != want.GetIndex() || meta.GetTerm() != want.GetTerm() {
		return nil, fmt.Errorf("receive snapshot: file is of index %d, message of %d", meta.GetIndex(), want.GetIndex())
	}
	return m, nil
}
