package identity

import (
	"testing"
	"testing/synctest"
	"time"

	"raftcached/replication/disk"
)

// TestLaterSavesTogether: once within the time for all that comes until then, earlier if
// something comes that must not wait, and at the end at once.
func TestLaterSavesTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var (
			l     later
			start = time.Now()
			saves []time.Duration
		)
		l.save = func() error {
			saves = append(saves, time.Since(start))
			return nil
		}
		do := func(within time.Duration) { must(t, l.do(within)) }
		for range 20 { // 2.6 s
			do(time.Second)
			time.Sleep(130 * time.Millisecond)
		}
		do(time.Millisecond)
		time.Sleep(time.Second)
		do(time.Hour)
		synctest.Wait()
		must(t, l.close())
		want := []int64{1000, 2040, 2601, 3600} // ms
		if len(saves) != len(want) {
			t.Fatalf("saved at %v", saves)
		}
		for i, w := range want {
			if saves[i].Milliseconds() != w {
				t.Fatalf("saved at %v", saves)
			}
		}
	})
}

// BenchmarkKeepFloorLater is what each sync of the log pays.
func BenchmarkKeepFloorLater(b *testing.B) {
	id, err := Open(disk.OS(), b.TempDir(), 1, random())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for index := uint64(0); b.Loop(); index++ {
		if err := id.KeepFloor(Floor{Index: index}, time.Second); err != nil {
			b.Fatal(err)
		}
	}
	if err := id.Close(); err != nil {
		b.Fatal(err)
	}
}
