package integration

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// What a step of a plan does.
const (
	planAdd          = "add"
	planRemove       = "remove"
	planReplaceDead  = "replace, dead,"             // its process is killed and its folder removed before
	planReplaceAlive = "replace, alive,"            // it is told, and its folder is removed then
	planReplaceEmpty = "replace by an empty folder" // it is killed, and starts without its folder: nobody says a word
	planTransfer     = "transfer leadership to"
)

// The moments of a step at which somebody is killed.
const (
	planAsked    = "asked"    // the change is on its way
	planAgreed   = "agreed"   // it is known to be made
	planStarted  = "started"  // the server that comes in was started
	planAdmitted = "admitted" // it is a member, without a vote
	planVotes    = "voting"   // it has got its vote
)

// Who is killed.
const (
	planLeader    = "the leader"
	planSubject   = "the server that it is about"
	planServer    = "the server asked"
	planBystander = "a bystander"
)

const (
	planServersMax = 5                      // at a time
	planDelayMax   = 40 * time.Millisecond  // between a moment and a kill
	planDownMax    = 400 * time.Millisecond // until a killed server is started again
)

// memberPlan is how the members of a cluster are changed.
type memberPlan struct {
	servers  int // at first
	added    int // later
	retain   int // MiB of log: how a server that comes in catches up
	filler   int // items of 10 KiB that are there at first
	steps    []*memberStep
	expected []int // members in the end
	replicas []int // those of them that are to have no vote
}

// memberStep is one change.
type memberStep struct {
	what   string
	server int
	asked  int         // the server whose admin port is asked first
	kill   *memberKill // nil: nobody
	also   *memberStep // one that begins at the same time; nil: none

	replica bool // it is added to have no vote
}

// memberKill is a kill -9 in the middle of a change.
type memberKill struct {
	who   string
	when  string
	after time.Duration
	down  time.Duration // until a supervisor starts it again
	pick  int           // of the bystanders
}

func (k *memberKill) String() string {
	return fmt.Sprintf("kill -9 of %s %v after %s, for %v", k.who, k.after, k.when, k.down)
}

func (s *memberStep) String() string {
	text := fmt.Sprintf("%s server %d at server %d", s.what, s.server, s.asked)
	if s.kill != nil {
		text += ", " + s.kill.String()
	}
	if s.also != nil {
		text += "; at the same time " + s.also.String()
	}
	return text
}

func (p *memberPlan) String() string {
	lines := []string{fmt.Sprintf("%d servers with %d items and %d MiB of log", p.servers, p.filler, p.retain)}
	for i, s := range p.steps {
		lines = append(lines, fmt.Sprintf("%d. %v", i+1, s))
	}
	return strings.Join(lines, "\n")
}

// planner draws a plan.
type planner struct {
	*memberPlan
	rng *rand.Rand
}

// drawPlan returns the plan of a seed.
func drawPlan(seed uint64, changes int) *memberPlan {
	p := planner{&memberPlan{}, rand.New(rand.NewPCG(seed, 0))}
	p.servers = []int{1, 3, 3, 3, 4}[p.rng.IntN(5)]
	p.retain = []int{1, 64}[p.rng.IntN(2)]
	p.filler = []int{0, 300}[p.rng.IntN(2)]
	for id := range p.servers {
		p.expected = append(p.expected, id)
	}
	for range changes {
		p.steps = append(p.steps, p.step())
	}
	return p.memberPlan
}

// step draws a step, and makes it.
func (p *planner) step() *memberStep {
	s := p.draw()
	for p.loses(s) {
		s = p.draw()
	}
	if p.rng.IntN(3) == 0 {
		for range 10 { // of which many cannot be done at the same time
			if also := p.draw(); (also.server != s.server || also.what == planAdd) && !p.loses(s, also) {
				s.also = also
				break
			}
		}
	}
	for _, one := range []*memberStep{s, s.also} {
		if one != nil {
			p.make(one)
		}
	}
	return s
}

// draw draws what a step may be, for all that there is at the moment.
func (p *planner) draw() *memberStep {
	kinds := []string{planAdd, planAdd, planRemove, planReplaceDead, planReplaceAlive, planReplaceEmpty, planTransfer}
	s := &memberStep{what: kinds[p.rng.IntN(len(kinds))], server: p.expected[p.rng.IntN(len(p.expected))]}
	s.asked = p.expected[p.rng.IntN(len(p.expected))]
	if s.what == planAdd {
		s.server = -1 // the next one, see make
	}
	if p.rng.IntN(4) > 0 {
		s.kill = p.drawKill(s.what)
	}
	return s
}

func (p *planner) drawKill(what string) *memberKill {
	moments := []string{planAsked, planAgreed, planStarted, planAdmitted, planVotes}
	switch what {
	case planTransfer:
		moments = moments[:1]
	case planRemove:
		moments = moments[:2]
	case planReplaceEmpty:
		moments = moments[2:]
	}
	return &memberKill{
		who:  []string{planLeader, planSubject, planSubject, planServer, planBystander}[p.rng.IntN(5)],
		when: moments[p.rng.IntN(len(moments))], after: time.Duration(p.rng.Int64N(int64(planDelayMax))).Round(time.Millisecond),
		down: time.Duration(p.rng.Int64N(int64(planDownMax))).Round(time.Millisecond), pick: p.rng.IntN(planServersMax),
	}
}

// loses reports whether steps that are made at once are too many, or would leave too
// few servers whole. A server that was added may be late, so that it does not count.
func (p *planner) loses(steps ...*memberStep) bool {
	before, removed, replaced, added := len(p.expected), 0, 0, 0
	for _, s := range steps {
		switch s.what {
		case planAdd:
			added++
		case planRemove:
			removed++
		case planTransfer:
		default:
			replaced++
		}
	}
	isMajority := func(whole, of int) bool { return 2*whole > of }
	return before+added > planServersMax || before == removed ||
		!isMajority(before-replaced, before) || !isMajority(before-removed-replaced, before-removed)
}

// make notes who is a member then.
func (p *planner) make(s *memberStep) {
	switch s.what {
	case planAdd:
		s.server = p.servers + p.added
		p.added++
		p.expected = append(p.expected, s.server)
	case planRemove:
		p.expected = slices.DeleteFunc(p.expected, func(id int) bool { return id == s.server })
	}
}

// growAndShrink is the plan of a lone server that becomes three, then five, and then
// three again.
func growAndShrink() *memberPlan {
	p := planner{&memberPlan{servers: 1, retain: 1, filler: 300, expected: []int{0}}, nil}
	for _, s := range []*memberStep{
		{what: planAdd},
		{what: planAdd},
		{what: planAdd},
		{what: planAdd},
		{what: planRemove, server: 0, asked: 1},
		{what: planRemove, server: 3, asked: 1},
	} {
		p.make(s)
		p.steps = append(p.steps, s)
	}
	return p.memberPlan
}
