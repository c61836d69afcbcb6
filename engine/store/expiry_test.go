package store

import "testing"

// TestExpirySlots checks that an item leaves the sums at most a second, or a
// 32nd of its time to live, after it has expired, and never before.
func TestExpirySlots(t *testing.T) {
	const start = 1_900_000_000_000 // ms of Unix time
	for _, ttl := range []int64{1, 999, 1000, 1001, 63_999, 64_000, 64_001, 3_600_000, 30 * 86_400_000, 1 << 41} {
		for _, now := range []int64{start, start + 1, start + 777} {
			level := LevelFor(now, now+ttl)
			late := SlotEnd(level, now+ttl) - (now + ttl)
			if late < 0 || late >= max(1000, ttl/32+1) || level >= levelCount {
				t.Errorf("ttl %d ms at %d: level %d, %d ms late", ttl, now, level, late)
			}
		}
	}
}
