package replication

import (
	"math"
	"time"
)

// guessRate is by how much monotonic clocks may differ until a guess is made again:
// by one part in so many. They rarely do by a tenth of that.
const guessRate = 1000

// Guess is what log time is by a clock of this node's: that of the gate. It is never what
// decides whether an item has expired; see decision 44.
//
// It comes from sub-batches that the node has had stamped. The leader has stamped each
// between when it was submitted and when it was seen to be applied. So log time less the
// clock is no more than the stamp less the clock at first, and no less than the stamp
// less the clock afterwards. The zero value knows nothing.
type Guess struct {
	known bool
	ahead time.Duration // log time in Unix time, less the clock
	as    time.Duration // of the clock
}

// Learn takes that log time was stampMs at some time from asked to now.
func (g *Guess) Learn(asked, now time.Duration, stampMs int64) {
	stamp := time.Duration(stampMs) * time.Millisecond
	ahead := stamp - now
	if g.known {
		ahead = min(max(g.ahead, ahead), stamp-asked)
	}
	*g = Guess{known: true, ahead: ahead, as: now}
}

// At returns log time as it is guessed to be now, and when it is at the latest. Without a
// guess that is 0, and the end of time.
func (g *Guess) At(now time.Duration) (ms, latestMs int64) {
	if !g.known {
		return 0, math.MaxInt64
	}
	ms = (g.ahead + now).Milliseconds()
	return ms, ms + ((now - g.as) / guessRate).Milliseconds()
}
