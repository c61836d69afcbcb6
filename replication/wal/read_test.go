package wal

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"raftcached/replication/disk/disktest"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// TestEntriesAreOfOneLog reads old entries, of several segments, while others replace
// them again and again. What is read at once is from one log.
func TestEntriesAreOfOneLog(t *testing.T) {
	const kept, count, generations = 4, 60, 400
	l, err := Open(disktest.NewCrashable(), "wal", Options{SegmentBytes: 4 << 10, MemoryBytesMax: 1})
	if err != nil {
		t.Fatal(err)
	}
	save := func(term, from uint64, count int) {
		var ents []*pb.Entry
		for i := range count {
			ents = append(ents, &pb.Entry{Term: new(term), Index: new(from + uint64(i)), Data: bytes.Repeat([]byte("x"), 400)})
		}
		for len(ents) > 0 { // a write never spans segments
			n := min(10, len(ents))
			if err := l.Save(Write{Entries: ents[:n]}); err != nil {
				t.Error(err)
			}
			ents = ents[n:]
		}
	}
	save(1, 1, kept)
	save(1, kept+1, count)
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
			}
			ents, err := l.Entries(kept, kept+11, 1<<20)
			if err != nil && !errors.Is(err, raft.ErrUnavailable) {
				t.Error(err)
				return
			}
			for i := 2; i < len(ents); i++ {
				if ents[i].GetTerm() != ents[1].GetTerm() {
					t.Errorf("entry %d is of term %d, entry %d of term %d", ents[1].GetIndex(), ents[1].GetTerm(), ents[i].GetIndex(), ents[i].GetTerm())
					return
				}
			}
		}
	})
	for term := range uint64(generations) {
		save(term+2, kept+1, count)
	}
	close(done)
	wg.Wait()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}
