package wal

import (
	"errors"
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

// TestSegmentThatCannotBeMadeReady: it is made when it is needed.
func TestSegmentThatCannotBeMadeReady(t *testing.T) {
	fs := disktest.NewCrashable()
	o := testOptions
	o.Background = true
	l := openWith(t, neverZero{fs}, o)
	for i := range uint64(20) {
		must(t, l.Save(Write{HardState: hard(1, 1, 0), Entries: entries(1, 10*i+1, 10*i+10), Sync: true}))
	}
	if n := len(l.segments); n < 10 {
		t.Fatalf("%d segments", n)
	}
	want := contents(t, l)
	must(t, l.Close())
	if got := contents(t, open(t, fs)); got != want {
		t.Fatalf("recovered %s, want %s", got, want)
	}
}

// neverZero is a file system on which Zero leaves garbage and fails.
type neverZero struct{ disk.FS }

func (fs neverZero) Create(name string) (disk.File, error) {
	f, err := fs.FS.Create(name)
	return garbage{f}, err
}

type garbage struct{ disk.File }

func (f garbage) Zero(int64, int64) error {
	_, err := f.Write([]byte("garbage"))
	return errors.Join(errors.New("no zeros"), err)
}
