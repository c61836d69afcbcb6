package replication

import (
	"testing"
	"time"
)

// TestSnapshotsAreToldOfOnceAMinute: of each that comes alone, and how many came between.
func TestSnapshotsAreToldOfOnceAMinute(t *testing.T) {
	var n snapshotNews
	start := time.Unix(1_700_000_000, 0)
	for _, c := range []struct {
		after  time.Duration
		untold int
		tell   bool
	}{
		{0, 0, true},
		{time.Second, 0, false},
		{59 * time.Second, 0, false},
		{time.Minute, 2, true},
		{90 * time.Second, 0, false},
		{5 * time.Minute, 1, true},
		{6 * time.Minute, 0, true},
	} {
		if untold, tell := n.taken(start.Add(c.after)); untold != c.untold || tell != c.tell {
			t.Errorf("after %v: %d, %v; want %d, %v", c.after, untold, tell, c.untold, c.tell)
		}
	}
	n.follow(&snapshotWrite{kind: snapshotBegin}, start)
	for range 2 {
		n.follow(&snapshotWrite{kind: snapshotPart, part: make([]byte, 100)}, start)
	}
	if n.sizeBytes != 200 || !n.begun.Equal(start) {
		t.Errorf("%d bytes since %v, want 200 since %v", n.sizeBytes, n.begun, start)
	}
}
