package replication

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

const (
	// snapshotBuffers parts of an image may wait for the disk.
	snapshotBuffers = 4

	// snapshotBufferBytes is the size at which a part is handed on, about.
	snapshotBufferBytes = 192 << 10
)

// errViewLost tells that a snapshot was given up because the state was replaced.
var errViewLost = errors.New("state was replaced while a snapshot was written")

// snapshotter writes snapshots in the background, one at a time, and then lets
// go of the log up to the snapshot before, and of older snapshots. So whoever
// receives the newest one finds the entries that follow it, and a node whose
// newest file is damaged starts from the one before.
//
// The applier produces an image part by part, between entries, into a few
// buffers that a goroutine writes out. When these are full it goes on applying,
// unless the image is behind: then it waits for the disk.
type snapshotter struct {
	log   Log
	store Snapshots
	wg    sync.WaitGroup

	// The applier's.
	image *Image // being produced, or nil
	full  chan []byte
	empty chan []byte
	lost  *bool // set before full is closed: the image is not complete

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

// take begins a snapshot of the applier's state, on its goroutine, unless one is
// being written already, which it reports. Each time that a buffer is empty again
// it calls wake, and in the end done, with whether the snapshot is durable.
func (s *snapshotter) take(a *Applier, wake func(), fail func(error), done func(index uint64, ok bool)) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writing || s.image != nil {
		return false
	}
	s.writing = true
	s.image = a.Image()
	s.full, s.empty, s.lost = make(chan []byte, snapshotBuffers), make(chan []byte, snapshotBuffers), new(bool)
	for range snapshotBuffers {
		s.empty <- nil
	}
	job := snapshotJob{s, s.image.Index, s.image.Term, s.newest, s.full, s.empty, s.lost, wake}
	s.wg.Go(func() {
		if err := job.run(); err != nil {
			fail(err)
			return
		}
		done(job.index, !*job.lost)
	})
	wake()
	return true
}

// produce does a part of the image, if one is being written and a buffer is
// empty, and all that is needed for it not to be behind. It reports whether
// there is more to do at once.
func (s *snapshotter) produce(ctx context.Context) bool {
	for s.image != nil {
		behind := s.image.view.Behind()
		var buf []byte
		select {
		case buf = <-s.empty:
		default:
			if !behind {
				return false
			}
			select {
			case buf = <-s.empty:
			case <-ctx.Done():
				return false
			}
		}
		s.part(buf)
		if !behind {
			break
		}
	}
	return s.image != nil && len(s.empty) > 0
}

// part fills a buffer, or begins to if the rest takes long to find, and hands it
// on.
func (s *snapshotter) part(buf []byte) {
	buf, more, err := buf[:0], true, error(nil)
	for before := -1; more && err == nil && len(buf) > before && len(buf) < snapshotBufferBytes/2; {
		before = len(buf)
		buf, more, err = s.image.Next(buf)
	}
	if err != nil {
		s.end(true)
		return
	}
	s.full <- buf // there is room: the buffers are as many
	if !more {
		s.end(false)
	}
}

// end ends the production of an image.
func (s *snapshotter) end(lost bool) {
	*s.lost = lost
	close(s.full)
	s.image = nil
}

// abandon gives up the image that is being produced, if any, so that the applier
// can begin another one.
func (s *snapshotter) abandon() {
	if s.image != nil {
		s.image.drain()
		s.end(true)
	}
}

// stop gives up the image that is being produced and waits until nothing is
// being written. The applier must have stopped.
func (s *snapshotter) stop() {
	if s.image != nil {
		s.end(true)
	}
	s.wg.Wait()
}

// snapshotJob writes one snapshot from the buffers that the applier fills.
type snapshotJob struct {
	*snapshotter
	index, term, before uint64
	full                <-chan []byte
	empty               chan<- []byte
	lost                *bool
	wake                func()
}

func (j *snapshotJob) run() error {
	w, err := createSnapshot(j.log, j.store, j.index, j.term)
	if err != nil {
		return err
	}
	for buf := range j.full {
		if _, err := w.Write(buf); err != nil {
			return fmt.Errorf("write snapshot %d: %w", j.index, joinAbort(err, w))
		}
		j.empty <- buf
		j.wake()
	}
	done := !*j.lost
	if done {
		err = finishSnapshot(j.store, w, j.index, j.before)
	} else if err = w.Abort(); err != nil {
		err = fmt.Errorf("abort snapshot %d: %w", j.index, err)
	}
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if done {
		j.compactTo, j.newest = j.snapshotter.newest, j.index
	}
	j.writing = false
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

func createSnapshot(log Log, store Snapshots, index, term uint64) (SnapshotWriter, error) {
	_, conf, err := log.InitialState()
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	w, err := store.Create(&pb.SnapshotMetadata{ConfState: conf, Index: new(index), Term: new(term)})
	if err != nil {
		return nil, fmt.Errorf("create snapshot %d: %w", index, err)
	}
	return w, nil
}

// finishSnapshot makes the snapshot durable and removes those of an index below
// before. One that was received and not installed yet is newer, and counts for
// nothing.
func finishSnapshot(store Snapshots, w SnapshotWriter, index, before uint64) error {
	if err := w.Commit(); err != nil {
		return fmt.Errorf("commit snapshot %d: %w", index, err)
	}
	if err := store.Prune(before); err != nil {
		return fmt.Errorf("prune snapshots: %w", err)
	}
	return nil
}

// writeSnapshot writes the image in one go: for whoever may take that long.
func writeSnapshot(log Log, store Snapshots, image *Image, before uint64) error {
	w, err := createSnapshot(log, store, image.Index, image.Term)
	if err != nil {
		return err
	}
	if err := image.write(w); err != nil {
		return fmt.Errorf("write snapshot %d: %w", image.Index, joinAbort(err, w))
	}
	return finishSnapshot(store, w, image.Index, before)
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

// restoreNewest restores the newest snapshot that the log continues. One beyond
// the committed index is of use only if the log has the entry that it was taken
// at, and so all that led to it (Raft §5.3, Log Matching): the committed index,
// which is not synced whenever it moves, is behind then, and is made good.
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
		beyond := meta.GetIndex() > max(hs.GetCommit(), first-1)
		if beyond && !inLog(log, meta) || meta.GetIndex()+1 < first {
			continue
		}
		if err = restoreSnapshot(store, meta, a); err == nil {
			if beyond {
				raised := &pb.HardState{Term: new(hs.GetTerm()), Vote: new(hs.GetVote()), Commit: new(meta.GetIndex())}
				err = log.Save(raised, nil, nil, true)
			}
			return err
		}
		logger.Error("cannot use a snapshot", "index", meta.GetIndex(), "err", err)
	}
	if first > 1 {
		return fmt.Errorf("no usable snapshot at index %d or later, where the log begins: %w", first-1, err)
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
