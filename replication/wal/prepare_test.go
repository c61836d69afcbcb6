package wal

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"raftcached/replication/disk"
	"raftcached/replication/disk/disktest"
)

// TestNextSegmentIsMadeReady: what Save begins is then full of zeros and durable,
// and the segments that Compact lets go of are removed without it.
func TestNextSegmentIsMadeReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := disktest.NewCrashable()
		o := testOptions
		o.Background = true
		l := openWith(t, fs, o)
		for i := range uint64(20) {
			must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 10*i+1, 10*i+10), Sync: true}))
			time.Sleep(time.Second) // of the bubble
			ready := segmentName("wal", l.segments[len(l.segments)-1].seq+1)
			b, err := disk.ReadFile(fs, ready)
			must(t, err)
			if int64(len(b)) != o.SegmentBytes {
				t.Fatalf("segment %q has %d bytes", ready, len(b))
			}
		}
		must(t, l.Compact(190))
		synctest.Wait()
		names, err := fs.List("wal")
		must(t, err)
		if len(names) != len(l.segments)+1 || names[0] != filepath.Base(segmentName("wal", l.segments[0].seq)) {
			t.Fatalf("folder holds %q, the log %d segments from %d on", names, len(l.segments), l.segments[0].seq)
		}
		must(t, l.Close())
	})
}
