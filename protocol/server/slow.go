package server

import (
	"time"

	"raftcached/internal/measure"
)

// spent is what the backend has waited for in a time that is over. Many slow requests have
// begun and ended together, and finding this out costs more than all else that is noted of them.
type spent struct {
	end, took time.Duration
	causes    measure.Causes
}

// keepSlow takes the keys of writes that have finished, and keeps those of the last slow ones:
// of so many slow ones others would take the places of those before.
func (t *timing) keepSlow(now time.Duration, slow int) {
	skip := max(0, slow-measure.SlowMax)
	t.loop.server.slow.Skip(uint64(skip))
	for i := range t.finished {
		f := &t.finished[i]
		took := now - f.begun
		if f.nameBytes > 0 && !t.loop.isSlow(took) {
			t.names.drop(f.nameBytes)
			continue
		}
		var here measure.Causes
		here[f.waited] = f.sent - f.begun
		for left := f.nameBytes; left > 0; {
			key := t.names.front()
			if skip--; skip < 0 {
				t.noteSlow(f.command, key, now, took, &here)
			}
			t.names.drop(1 + len(key))
			left -= 1 + len(key)
		}
	}
}

func (l *loop) isSlow(took time.Duration) bool {
	return l.options.SlowTime > 0 && took >= l.options.SlowTime
}

// noteSlow keeps a slow command that has ended now, with what it has waited for here and in
// the backend.
func (t *timing) noteSlow(command measure.Command, key []byte, now, took time.Duration, here *measure.Causes) {
	s := measure.Slow{At: t.loop.options.Now(), Command: command, Took: took, Causes: *here}
	if f := t.loop.options.Causes; f != nil {
		if t.spent.end != now || t.spent.took != took {
			t.spent = spent{now, took, f(took)}
		}
		for cause, d := range &t.spent.causes {
			s.Causes[cause] += min(d, took)
		}
	}
	t.loop.server.slow.Add(&s, key)
}
