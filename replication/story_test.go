package replication

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"raftcached/engine"
	"raftcached/internal/item"

	"github.com/cockroachdb/datadriven"
	"go.etcd.io/raft/v3"
)

// TestStories runs testdata/stories: each file is a story of a cluster of three
// in virtual time, told in these verbs. Rewrite with -rewrite.
//
//	run 500ms                 let time pass
//	append node=1 list=l x y  append the tokens at a node, and await the answers
//	send node=1 list=l x      append, without waiting
//	read node=1 list=l        a linearizable read
//	local node=1 list=l       what the node holds
//	hint node=1 10            let a node hint at that many items
//	hints                     how many hints each node has seen in the log
//	crash 1                   lose all that is volatile or not synced
//	restart 1
//	pause 1 400ms             as by SIGSTOP and SIGCONT
//	handover 1                tell a node that it is about to stop
//	stall 1                   let its disk stand still
//	unstall 1
//	cut 1 2                   lose all messages between two nodes
//	heal
//	flood 1 300               set that many other keys at a node, to fill the log
//	ask 0 replace 2           ask a node to retire a server's folder, or to remove a server
//	join 2                    let an empty folder of an awaited server come in
//	members                   who belongs to the cluster, as each node has applied it
//	corrupt 1 x               change an item of one node's state, behind raft's back
//	messages on               show what nodes send each other from now on; all shows
//	                          digests too, off nothing
//	state                     each node's part, and whether equal index means equal digest
//
// The leader's id differs from run to run of another seed, not of this one.
func TestStories(t *testing.T) {
	datadriven.Walk(t, "testdata/stories", func(t *testing.T, path string) {
		st := &story{s: newSimulation(t, 7, 3, 0)}
		st.s.runUntil(time.Second)
		datadriven.RunTest(t, path, st.do)
	})
}

type story struct {
	s   *simulation
	out []string
}

func (st *story) printf(format string, args ...any) {
	st.out = append(st.out, fmt.Sprintf(format, args...))
}

func (st *story) do(t *testing.T, d *datadriven.TestData) string {
	st.out = nil
	found := simulate(func() {
		for line := range strings.Lines(d.Cmd + cmdArgs(d) + "\n" + d.Input) {
			if words := strings.Fields(line); len(words) > 0 {
				st.verb(t, words)
			}
		}
	})
	if found != "" {
		t.Fatal(found)
	}
	if len(st.out) == 0 {
		return "ok\n"
	}
	return strings.Join(st.out, "\n") + "\n"
}

// cmdArgs gives back the words behind the directive.
func cmdArgs(d *datadriven.TestData) string {
	var b strings.Builder
	for _, a := range d.CmdArgs {
		b.WriteString(" " + a.Key)
		if len(a.Vals) > 0 {
			b.WriteString("=" + strings.Join(a.Vals, ","))
		}
	}
	return b.String()
}

func (st *story) verb(t *testing.T, words []string) {
	s, args := st.s, words[1:]
	switch words[0] {
	case "run":
		s.runUntil(s.now + st.duration(t, args[0]))
	case "append", "send":
		st.append(t, args, words[0] == "append")
	case "read":
		st.read(t, args)
	case "local":
		n, list := st.where(t, args)
		st.printf("%s", n.list(list))
	case "hint":
		st.hint(t, args)
	case "hints":
		st.hints()
	case "crash":
		st.node(t, args[0]).crash()
	case "restart":
		st.node(t, args[0]).start()
	case "pause":
		st.node(t, args[0]).pause(st.duration(t, args[1]))
	case "handover":
		st.node(t, args[0]).put(input{kind: inputHandOver})
	case "stall":
		st.node(t, args[0]).append.heldUp = true
	case "unstall":
		st.node(t, args[0]).append.goOn()
	case "cut":
		a, b := st.node(t, args[0]).id, st.node(t, args[1]).id
		s.cut[[2]int{a, b}], s.cut[[2]int{b, a}] = true, true
	case "heal":
		s.cut = map[[2]int]bool{}
	case "flood":
		st.flood(t, args)
	case "ask":
		st.ask(t, args)
	case "join":
		st.join(t, args)
	case "members":
		st.members()
	case "corrupt":
		st.node(t, args[0]).corrupt(args[1])
	case "messages":
		s.show = nil
		if args[0] != "off" {
			s.show = func(line string) {
				if args[0] == "all" || !strings.HasPrefix(line, "Digest") {
					st.printf("  %s", line)
				}
			}
		}
	case "state":
		st.state()
	default:
		t.Fatalf("unknown verb %q", words[0])
	}
}

func (st *story) duration(t *testing.T, text string) time.Duration {
	d, err := time.ParseDuration(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// node returns the node that is named by its number, or as "leader".
func (st *story) node(t *testing.T, name string) *simNode {
	for _, n := range st.s.nodes {
		leads := n.up && n.machine.core.state == raft.StateLeader
		if name == fmt.Sprint(n.id) || name == "leader" && leads {
			return n
		}
	}
	t.Fatalf("no node %q", name)
	return nil
}

func (st *story) where(t *testing.T, args []string) (n *simNode, list string) {
	name, _ := strings.CutPrefix(args[0], "node=")
	list, _ = strings.CutPrefix(args[1], "list=")
	return st.node(t, name), list
}

// append sends one token after the other; an unanswered one ends a wait of the
// request timeout and a little more.
func (st *story) append(t *testing.T, args []string, wait bool) {
	n, list := st.where(t, args)
	for _, token := range args[2:] {
		outcome := "no answer yet"
		c := &simClient{s: st.s, node: n, told: func(o simOutcome, r *item.Result) {
			outcome = []string{"", "outcome unknown", "no leader", "refused"}[o]
			if o == simAnswered {
				outcome = map[item.Status]string{
					item.StatusStored: "stored", item.StatusNotStored: "not stored",
				}[r.Status]
			}
		}}
		kind := engine.OpAppend
		if len(n.list(list)) == 0 {
			kind = engine.OpAdd
		}
		c.submit(engine.Op{Kind: kind, Key: []byte(list), Value: []byte(token + " ")})
		if wait {
			st.await(func() bool { return outcome != "no answer yet" })
			st.printf("%s: %s", token, outcome)
		}
	}
}

func (st *story) hint(t *testing.T, args []string) {
	name, _ := strings.CutPrefix(args[0], "node=")
	count, err := strconv.Atoi(args[1])
	if err != nil {
		t.Fatal(err)
	}
	st.node(t, name).hint(hashes(0, count))
}

func (st *story) hints() {
	for _, n := range st.s.nodes {
		if n.up {
			st.printf("%d: %d", n.id, n.state.hints)
		}
	}
}

// flood sends sets without waiting for each.
func (st *story) flood(t *testing.T, args []string) {
	n := st.node(t, args[0])
	count, err := strconv.Atoi(args[1])
	if err != nil {
		t.Fatal(err)
	}
	for i := range count {
		c := &simClient{s: st.s, node: n, told: func(simOutcome, *item.Result) {}}
		c.submit(engine.Op{Kind: engine.OpSet, Key: fmt.Appendf(nil, "flood-%d", i), Value: make([]byte, 100)})
		st.s.runUntil(st.s.now + time.Millisecond)
	}
}

func (st *story) read(t *testing.T, args []string) {
	n, list := st.where(t, args)
	answer := ""
	n.read(&simClient{s: st.s, node: n, toldRead: func(ok bool) {
		answer = "failed"
		if ok {
			answer = fmt.Sprint(n.list(list))
		}
	}})
	st.await(func() bool { return answer != "" })
	st.printf("%s", answer)
}

func (st *story) await(done func() bool) {
	for end := st.s.now + simRequestTimeout + 100*time.Millisecond; st.s.now < end && !done(); {
		st.s.runUntil(st.s.now + time.Millisecond)
	}
}

func (st *story) state() {
	digests := map[uint64]uint64{}
	for _, n := range st.s.nodes {
		if !n.up {
			st.printf("%d: down", n.id)
			continue
		}
		index, digest := n.machine.applier.Digest()
		agree := "first at this index"
		if d, ok := digests[index]; ok {
			agree = fmt.Sprintf("digest agrees: %v", d == digest)
		}
		digests[index] = digest
		if v := n.machine.core.Status().Verdict; v != VerdictOK {
			agree += ", " + v.String()
		}
		if n.handedOver {
			agree += ", may stop"
		}
		st.printf("%d: %v, %s", n.id, n.machine.core.state, agree)
	}
}
