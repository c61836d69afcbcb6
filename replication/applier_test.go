package replication

import (
	"bytes"
	"fmt"
	"slices"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
)

// applierTest drives an applier over a textMachine, and describes what it wants
// done in words.
type applierTest struct {
	t     *testing.T
	m     *textMachine
	a     *Applier
	store simStore
}

func newApplierTest(t *testing.T, store simStore, cfg ReplicaConfig) *applierTest {
	m := &textMachine{}
	cfg.ID, cfg.Boot, cfg.Loops, cfg.Machine, cfg.Formed = 1, 1, 1, m, formed(letterOrigin)
	if cfg.LogRetainBytes == 0 {
		cfg.LogRetainBytes = 1 << 30
	}
	return &applierTest{t: t, m: m, a: newApplier(newState(&cfg), &cfg), store: store}
}

// step feeds inputs at once and checks what the applier wants done.
func (at *applierTest) step(ins []applyInput, want ...string) {
	at.t.Helper()
	for i := range ins {
		at.a.step(&ins[i])
	}
	var got []string
	for _, e := range at.a.ready(nil) {
		got = append(got, at.describe(&e))
	}
	if !slices.Equal(got, want) {
		at.t.Fatalf("wants %q, want %q; the state is %q", got, want, at.m.text)
	}
}

// describe names an effect, and carries out those that an input must follow.
func (at *applierTest) describe(e *applyEffect) string {
	switch e.kind {
	case effectAnswers:
		return fmt.Sprintf("answer %d", e.answers[0].Tag)
	case effectReport:
		r := e.report
		text := fmt.Sprintf("report %d", r.Index)
		if r.Installed {
			text += " installed"
		}
		if r.Repair != RepairNone {
			text += []string{"", " frozen", " at hand", " done"}[r.Repair]
		}
		for _, m := range r.Done {
			text += fmt.Sprintf(" done %s", m.GetContext())
		}
		return text
	case effectWrite:
		w := e.write
		part := fmt.Sprintf("part %q", w.part)
		if bytes.HasPrefix(w.part, []byte{byte(len(w.part) - 4), 0, 0, 0}) {
			part = "part head"
		}
		return []string{fmt.Sprintf("begin %d", w.at.index), part, fmt.Sprintf("commit below %d", w.below), "abort"}[w.kind]
	case effectCut:
		return fmt.Sprintf("cut %d", e.index)
	case effectPrune:
		return fmt.Sprintf("prune %d", e.index)
	case effectRestore:
		return fmt.Sprintf("restore %d", e.meta.GetIndex())
	case effectKeep:
		e.image.drain()
		return fmt.Sprintf("keep %d", e.image.Index)
	case effectShip:
		return fmt.Sprintf("ship %d to %d", e.ship.Meta.GetIndex(), e.ship.To)
	case effectNoShip:
		return fmt.Sprintf("no ship to %d", e.ship.To)
	case effectReply:
		e.reply(e.err)
		return fmt.Sprintf("reply %v", e.err)
	case effectAgain:
		return "again"
	default:
		return fmt.Sprintf("fail: %v", e.err)
	}
}

// restore carries out a restore.
func (at *applierTest) restore(meta *pb.SnapshotMetadata) []applyInput {
	return []applyInput{{kind: applyRestored, err: restoreSnapshot(at.store, meta, at.a.st)}}
}

func apply(lo, hi int) applyInput { return applyInput{kind: applyEntries, entries: letters(lo, hi)} }

func one(in applyInput) []applyInput { return []applyInput{in} }

func metaAt(index uint64) *pb.SnapshotMetadata {
	return &pb.SnapshotMetadata{Index: new(index), Term: new(uint64(1))}
}

// TestFrozenApplier: a frozen state keeps what is committed, lets go of what the
// repair covers, is replaced when raft has come to the repair's index, and goes
// on from there.
func TestFrozenApplier(t *testing.T) {
	store, meta := storeOf(t, 6)
	at := newApplierTest(t, store, ReplicaConfig{})
	at.step(one(apply(1, 2)), "report 2 done 1-2")
	at.m.text = "ax"
	offer := applyInput{kind: applyOffer, reply: func(error) {}}
	at.step(one(offer), "reply no repair is wanted")
	at.step([]applyInput{{kind: applyFreeze}, {kind: applyFreeze}}, "keep 2", "report 2 frozen")
	at.step(one(apply(3, 4)), "report 2")
	at.step(one(applyInput{kind: applyServe, repair: Repair{To: 3}}), "no ship to 3")
	at.step(one(offer), "reply <nil>")
	at.step(one(applyInput{kind: applyAim, meta: metaAt(1)}))
	at.step(one(applyInput{kind: applyAim, meta: meta}), "report 2 at hand done 3-4")
	at.step([]applyInput{apply(5, 8), apply(9, 9)}, "report 2", "restore 6")
	if at.m.text != "ax" {
		t.Fatalf("the state is %q", at.m.text)
	}
	at.step(at.restore(meta), "prune 6", "report 8 installed done done 5-8", "report 9 done 9-9")
	if at.m.text != "abcdefghi" {
		t.Fatalf("the state is %q", at.m.text)
	}
}

// TestRepairThatCannotBeRestored leaves the state frozen, until another comes.
func TestRepairThatCannotBeRestored(t *testing.T) {
	store, meta := storeOf(t, 2)
	at := newApplierTest(t, store, ReplicaConfig{})
	at.step(one(applyInput{kind: applyFreeze}), "keep 0", "report 0 frozen")
	gone := metaAt(1)
	at.step(one(applyInput{kind: applyAim, meta: gone}), "report 0 at hand")
	at.step(one(apply(1, 2)), "restore 1")
	at.step(at.restore(gone), "report 0 frozen")
	at.step(one(applyInput{kind: applyAim, meta: meta}), "report 0 at hand", "restore 2")
	at.step(at.restore(meta), "prune 2", "report 2 installed done done 1-2")
	if at.m.text != "ab" {
		t.Fatalf("the state is %q", at.m.text)
	}
}

// TestOlderRepair: once entries were let go for the sake of a repair, an older one
// is of no use, whether the newer one waits for its entry or cannot be restored.
func TestOlderRepair(t *testing.T) {
	store, meta := storeOf(t, 6)
	at := newApplierTest(t, store, ReplicaConfig{})
	older, gone := applyInput{kind: applyAim, meta: metaAt(3)}, metaAt(5)
	at.step(one(apply(1, 2)), "report 2 done 1-2")
	at.step(one(applyInput{kind: applyFreeze}), "keep 2", "report 2 frozen")
	at.step(one(apply(3, 4)), "report 2")
	at.step(one(applyInput{kind: applyAim, meta: gone}), "report 2 at hand done 3-4")
	at.step(one(older))
	at.step(one(apply(5, 8)), "report 2", "restore 5")
	at.step(at.restore(gone), "report 2 frozen")
	at.step(one(older))
	at.step(one(applyInput{kind: applyAim, meta: meta}), "report 2 at hand", "restore 6")
	at.step(at.restore(meta), "prune 6", "report 8 installed done done 5-8")
	if at.m.text != "abcdefgh" {
		t.Fatalf("the state is %q", at.m.text)
	}
}

// TestInstalledSnapshot: what was applied before is answered before, what comes
// meanwhile waits, and the append worker learns of it when all is done.
func TestInstalledSnapshot(t *testing.T) {
	store, meta := storeOf(t, 6)
	at := newApplierTest(t, store, ReplicaConfig{})
	own := SubBatch{Origin: 1, Boot: 1, Seq: 1, Tag: 17, Count: 1, Ops: []byte{'a'}}
	first := letters(1, 1)
	first.Entries[0].Data = encodeEntry(1000, nil, 1, appendSubBatch(nil, &own))
	replied := false
	install := applyInput{kind: applyInstall, meta: meta, reply: func(err error) { replied = err == nil }}
	at.step([]applyInput{{kind: applyEntries, entries: first}, install, apply(7, 7)}, "answer 17", "report 1 done 1-1", "restore 6")
	at.step(one(apply(8, 8)))
	if replied {
		t.Fatal("installed before it is restored")
	}
	at.step(at.restore(meta), "report 6 installed", "reply <nil>", "report 8 done 7-7 done 8-8")
	if at.m.text != "abcdefgh" || !replied {
		t.Fatalf("the state is %q, replied %v", at.m.text, replied)
	}
}

// TestSnapshotSchedule: a snapshot is taken after half of what the log retains,
// written part by part as buffers come back, and when it is durable the log is
// cut at the one before.
func TestSnapshotSchedule(t *testing.T) {
	at := newApplierTest(t, simStore{}, ReplicaConfig{LogRetainBytes: 160, partBytes: 1})
	again, written := applyInput{kind: applyAgain}, applyInput{kind: applyWritten}
	at.step(one(apply(1, 2)), "report 2 done 1-2")
	at.step(one(apply(3, 9)), "report 9 done 3-9", "begin 9", "part head", "again")
	at.step(one(apply(10, 10)), "report 10 done 10-10", `part "abcdefghi"`, "commit below 0")
	at.step([]applyInput{written, written, again})
	at.step(one(apply(11, 26)), "report 26 done 11-26") // another one is due, but not yet
	at.step(one(applyInput{kind: applyEnded, ok: true}), "begin 26", "part head", "again")
	at.step(one(again), `part "abcdefghijklmnopqrstuvwxyz"`, "commit below 9")
	at.step(one(applyInput{kind: applyEnded, ok: true}), "cut 9")
}

// TestServedRepair: a peer gets the newest snapshot if that will do, or else one
// that is made for it. One at a time is made.
func TestServedRepair(t *testing.T) {
	at := newApplierTest(t, simStore{}, ReplicaConfig{partBytes: 1})
	serve := func(to, index uint64) applyInput {
		return applyInput{kind: applyServe, repair: Repair{To: to, Index: index}}
	}
	at.step(one(apply(1, 3)), "report 3 done 1-3")
	at.step([]applyInput{serve(2, 2), serve(3, 2)}, "begin 3", "no ship to 3", "part head", "again")
	at.step(one(applyInput{}), `part "abc"`, "commit below 0")
	at.step(one(applyInput{kind: applyEnded, ok: true}), "ship 3 to 2")
	at.step([]applyInput{apply(4, 4), serve(3, 3)}, "ship 3 to 3", "report 4 done 4-4")
	at.step(one(serve(3, 4)), "begin 4", "part head", "again")
	at.step(one(applyInput{kind: applyFreeze}), "abort", "no ship to 3", "keep 4", "report 4 frozen")
	at.step(one(applyInput{kind: applyEnded}))
}

// TestServedRepairIsFrozen: a snapshot that is made for a peer is not sent if the
// state turns out to be wrong before it is durable.
func TestServedRepairIsFrozen(t *testing.T) {
	at := newApplierTest(t, simStore{}, ReplicaConfig{partBytes: 1})
	serve := applyInput{kind: applyServe, repair: Repair{To: 2, Index: 2}}
	at.step([]applyInput{apply(1, 3), serve}, "begin 3", "report 3 done 1-3", "part head", "again")
	at.step(one(applyInput{}), `part "abc"`, "commit below 0")
	at.step(one(applyInput{kind: applyFreeze}), "no ship to 2", "keep 3", "report 3 frozen")
	at.step(one(applyInput{kind: applyEnded, ok: true}))
}

// TestWantedSnapshot: who waits for a snapshot of an index is answered when one is
// durable, by one that is there already or is made for it, as often as the state is
// replaced meanwhile. A frozen state has none.
func TestWantedSnapshot(t *testing.T) {
	at := newApplierTest(t, simStore{}, ReplicaConfig{partBytes: 1})
	want := func(index uint64) applyInput {
		return applyInput{kind: applyTake, index: index, reply: func(error) {}}
	}
	at.step(one(want(3)))
	at.step([]applyInput{apply(1, 3), want(2)}, "report 3 done 1-3", "begin 3", "part head", "again")
	at.step([]applyInput{apply(4, 5), want(5)}, "report 5 done 4-5", `part "abc"`, "commit below 0")
	at.step(one(applyInput{kind: applyEnded, ok: true}), "reply <nil>", "reply <nil>", "begin 5", "part head", "again")
	at.step(one(applyInput{}), `part "abcde"`, "commit below 3")
	at.step(one(applyInput{kind: applyEnded}), "begin 5", "part head", "again") // it was lost
	at.step(one(applyInput{}), `part "abcde"`, "commit below 3")
	at.step([]applyInput{{kind: applyEnded, ok: true}, want(4)}, "cut 3", "reply <nil>", "reply <nil>")
	at.step(one(want(6)))
	at.step(one(applyInput{kind: applyFreeze}), "keep 5", "report 5 frozen", "reply the state differs from that of a majority")
}

// TestServeNothing: before anything is applied there is no state to send, and no
// snapshot is begun.
func TestServeNothing(t *testing.T) {
	at := newApplierTest(t, simStore{}, ReplicaConfig{partBytes: 1})
	serve := func(to uint64) applyInput { return applyInput{kind: applyServe, repair: Repair{To: to}} }
	at.step([]applyInput{serve(2), serve(3)}, "no ship to 2", "no ship to 3")
}

// TestImageBehind: while all buffers are out and the image is behind, nothing is
// applied.
func TestImageBehind(t *testing.T) {
	at := newApplierTest(t, simStore{}, ReplicaConfig{LogRetainBytes: 60})
	at.m.parts = 6
	at.step(one(apply(1, 2)), "report 2 done 1-2", "begin 2", "part head", "again")
	at.m.behind = true
	at.step(one(apply(3, 3)), "report 3 done 3-3", `part ""`, `part ""`, `part ""`)
	at.step([]applyInput{apply(4, 4), {kind: applyFreeze}})
	if at.a.Tidy() || at.m.tidied != 0 {
		t.Fatal("tidies up while the image is behind")
	}
	at.step(one(applyInput{kind: applyWritten}), `part ""`)
	at.m.behind = false
	at.step(one(applyInput{kind: applyWritten}), `part ""`, "again")
	at.step(one(applyInput{}), "abort", "keep 4", "report 4 frozen done 4-4")
}
