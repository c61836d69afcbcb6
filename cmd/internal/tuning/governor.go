package tuning

import "time"

const (
	// period is how often the load is looked at: soon enough that one which begins suddenly
	// is not held up, and so seldom that looking costs nothing.
	period = 50 * time.Millisecond

	// More than one of these in raiseAfter periods, and more processors are allowed: a load
	// that begins has clients connect and caches fill, and is not yet what it will be. It is
	// one more, and half as many where there are more than two: 64 are allowed within 3 s.
	raiseAfter = 4
	raiseShare = 0.8                    // of the allowed ones is in use
	raiseWait  = 200 * time.Microsecond // is what a goroutine waits for one, on average

	// Less than both, for a while, and one less is allowed.
	lowerShare = 0.7 // of one less than is allowed
	lowerWait  = raiseWait / 2

	// A process that may use two although the machine has one does so if goroutines wait while
	// less than this of the one is in use: a system call keeps it then.
	spareShare = 0.5

	// A process that has one, and of that uses less than restShare, is looked at once in
	// restPeriods.
	restShare   = 0.1
	restPeriods = 10

	// The while, in periods. It doubles when what was lowered is raised again within as
	// long, so that a load between two numbers does not have them change all the time.
	calmLeast, calmMost = 20, 1280
)

// load is what a process did in a period.
type load struct {
	busy float64       // processors that worked for it, on average
	wait time.Duration // what a goroutine waited for a processor, on average
}

// governor decides how many processors are allowed. It knows no clock. Only one goroutine
// may use it.
type governor struct {
	allowed, most int
	spare         bool // most is two, and the machine has one

	hot   int // periods, one after the other, in which one more was wanted
	calm  int // periods, one after the other, in which one less might do
	need  int // how many of them have one less allowed
	since int // periods since one less was allowed
}

// governorOf returns the governor of a process on a machine with as many processors. It begins
// with all of them. Where there is one it may use a second: a thread that waits for a slow
// disk keeps one for a while (decision 68).
func governorOf(processors int) governor {
	if processors == 1 {
		return governor{allowed: 1, most: 2, spare: true}
	}
	return governor{allowed: processors, most: processors}
}

// next takes the load of one more period, and returns how many processors are allowed
// from now on.
func (g *governor) next(l load) int {
	g.need, g.since = max(g.need, calmLeast), g.since+1
	switch {
	case g.wantsMore(l):
		g.calm = 0
		if g.hot++; g.hot >= raiseAfter && g.allowed < g.most {
			g.raise()
		}
	case g.wantsLess(l):
		g.hot = 0
		if g.calm++; g.calm >= g.need {
			g.allowed, g.calm, g.since = g.allowed-1, 0, 0
		}
	default:
		g.hot, g.calm = 0, 0
	}
	return g.allowed
}

func (g *governor) wantsMore(l load) bool {
	if g.spare {
		return l.wait > raiseWait && l.busy < spareShare
	}
	return l.busy > raiseShare*float64(g.allowed) || l.wait > raiseWait
}

func (g *governor) wantsLess(l load) bool {
	if g.spare && g.allowed == g.most && l.busy > raiseShare {
		return true // the second one only costs
	}
	return l.busy < lowerShare*float64(g.allowed-1) && l.wait < lowerWait
}

// rest returns after how many periods the next look is due, given the last one's load.
func (g *governor) rest(l load) int {
	if g.allowed == 1 && l.busy < restShare {
		return restPeriods
	}
	return 1
}

func (g *governor) raise() {
	g.allowed, g.hot = min(g.most, g.allowed+max(1, g.allowed/2)), 0
	if g.since <= g.need {
		g.need = min(2*g.need, calmMost)
	} else {
		g.need = calmLeast
	}
}
