package engine

import (
	"bytes"
	"testing"
	"time"

	"raftcached/internal/item"
)

// TestOffset: times on the wall that clients name are converted to the engine's time, which is
// ahead of them; times to live are not. What is stored keeps its time when the offset changes.
func TestOffset(t *testing.T) {
	e := newEngine(t, testLimits)
	const hourMs, now = int64(time.Hour / time.Millisecond), int64(1_900_000_000_000)
	e.Advance(now + 2*hourMs) // two hours ahead of the wall
	lives := func(key string) time.Duration {
		var left int64
		if _, ok := e.NewReader().Look(nil, []byte(key), false, func(dst, _ []byte, it Item) []byte {
			left = it.TTLSeconds()
			return append(dst, 1)
		}); !ok {
			return 0
		}
		return time.Duration(left) * time.Second
	}
	set := func(key string, exptime int64) {
		one(t, e, Op{Kind: OpSet, Key: []byte(key), Value: []byte("v"), Exptime: exptime})
	}
	inThreeHours := (now + 3*hourMs) / 1000
	set("before", inThreeHours)
	e.Apply(1, e.Correction(2*hourMs), false)
	set("absolute", inThreeHours)
	set("relative", 3600)
	set("past", now/1000-1)
	one(t, e, Op{Kind: OpTouch, Key: []byte("relative"), Exptime: 7200})
	for key, want := range map[string]time.Duration{"before": time.Hour, "absolute": 3 * time.Hour, "relative": 2 * time.Hour, "past": 0} {
		if got := lives(key); got != want {
			t.Errorf("%s lives %v, want %v", key, got, want)
		}
	}
	// mg R of a time on the wall: won if the item expires before it.
	for at, won := range map[int64]bool{inThreeHours - 1: false, inThreeHours + 1: true} {
		if _, ok := e.NewReader().Look(nil, []byte("absolute"), false, func(dst, _ []byte, it Item) []byte {
			if got := it.Wins(at); got != won {
				t.Errorf("recached before %d: %v, want %v", at, got, won)
			}
			return append(dst, 1)
		}); !ok {
			t.Error("the item is gone")
		}
	}
	check(t, e)
}

// TestImageWithAnOffset: it is a part of the state, and of images, beside a seed or not.
func TestImageWithAnOffset(t *testing.T) {
	for _, seed := range []uint64{0, 7} {
		for _, filling := range []bool{false, true} {
			e := newEngine(t, testLimits)
			e.Propose(seed)
			e.Apply(1, e.Formation(), false)
			without, _ := e.Digest()
			e.Apply(1, e.Correction(-12345), false)
			if with, _ := e.Digest(); with == without {
				t.Error("states of different offsets have one digest")
			}
			if filling {
				e.fill = fill{id: 1, going: true, plan: FillPlan{Chunks: 2}}
				e.fill.id = e.fill.plan.ID()
			}
			image := finish(t, e.Image(), nil)
			again := newEngine(t, testLimits)
			if err := again.Restore(bytes.NewReader(image)); err != nil {
				t.Fatal(err)
			}
			if got := finish(t, again.Image(), nil); again.OffsetMs() != -12345 || again.Filling() != filling || !bytes.Equal(got, image) {
				t.Errorf("seed %d, filling %v: offset %d, filling %v, the same image: %v", seed, filling, again.OffsetMs(), again.Filling(), bytes.Equal(got, image))
			}
		}
	}
}

// TestFillConvertsTimes: the time of the image's cluster was wrong in one way, that of this one in
// another. Items live until the same time of day, and the cache's time is not before the
// image's.
func TestFillConvertsTimes(t *testing.T) {
	const hourMs, wall = int64(time.Hour / time.Millisecond), int64(1_900_000_000_000)
	for _, from := range []int64{0, -5 * hourMs, 5 * hourMs} {
		for _, to := range []int64{0, -2 * hourMs, 9 * hourMs} {
			e, target := newEngine(t, testLimits), newEngine(t, testLimits)
			for engine, offset := range map[*Engine]int64{e: from, target: to} {
				engine.Advance(wall + offset)
				if offset != 0 {
					engine.Apply(1, engine.Correction(offset), false)
				}
			}
			one(t, e, Op{Kind: OpSet, Key: []byte("hour"), Value: []byte("v"), Exptime: 3600})
			one(t, e, Op{Kind: OpSet, Key: []byte("ever"), Value: []byte("v")})
			one(t, e, Op{Kind: OpSet, Key: []byte("soon"), Value: []byte("v"), Exptime: 1})
			f := openFiller(t, imageOf(t, e))
			target.Advance(wall + to + 2000)
			if from != 0 {
				// A plan of a later moment moves the time.
				f.plan.TimeMs += 60_000
			}
			wantStatus(t, one(t, target, f.begin()), item.StatusNumber, 0)
			restarted := newEngine(t, testLimits)
			if err := restarted.Restore(imageReaderOf(t, target)); err != nil || digest(restarted) != digest(target) {
				t.Fatalf("restart: %v", err)
			}
			for n := range f.chunks {
				wantStatus(t, one(t, restarted, f.items(n)), item.StatusNumber, uint64(n+1))
			}
			wantStatus(t, one(t, restarted, f.end()), item.StatusOK, 0)
			passed := int64(2)
			if from != 0 {
				passed = 60
			}
			if got := restarted.TimeMs(); got != wall+to+passed*1000 {
				t.Errorf("from %d to %d: the time is %d ms after the start", from, to, got-wall-to)
			}
			for key, want := range map[string]int64{"hour": 3600 - passed, "ever": -1, "soon": -2} {
				left := int64(-2)
				restarted.NewReader().Look(nil, []byte(key), false, func(dst, _ []byte, it Item) []byte {
					left = it.TTLSeconds()
					return append(dst, 1)
				})
				if left != want {
					t.Errorf("from %d to %d: %s has %d s left, want %d", from, to, key, left, want)
				}
			}
			check(t, restarted)
		}
	}
}
