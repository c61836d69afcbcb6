package replication

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// originLog gathers what an origin sends and answers, as text.
type originLog struct{ lines []string }

func (l *originLog) send(s *SubBatch) {
	l.lines = append(l.lines, fmt.Sprintf("send %d/%d %q", s.Loop, s.Seq, s.Ops))
}

func (l *originLog) answer(loop int, tag uint64, sent bool) {
	l.lines = append(l.lines, fmt.Sprintf("expired %d tag %d sent %v", loop, tag, sent))
}

func (l *originLog) want(t *testing.T, story string, lines ...string) {
	t.Helper()
	if !slices.Equal(l.lines, lines) {
		t.Fatalf("%s:\ngot  %q\nwant %q", story, l.lines, lines)
	}
	l.lines = nil
}

func TestOriginNumbersAtFirstSend(t *testing.T) {
	var l originLog
	o := newOrigin(1, 1, 2)
	o.submit(0, 10, 1, []byte("a"), false, time.Second)
	o.submit(1, 20, 1, []byte("b"), false, time.Second)
	o.submit(0, 11, 1, []byte("c"), false, 2*time.Second)
	o.expire(time.Second, l.answer)
	l.want(t, "parked past its deadline: certainly not proposed", "expired 0 tag 10 sent false", "expired 1 tag 20 sent false")
	o.number(time.Second, l.send)
	l.want(t, "what was never sent took no number", `send 0/1 "c"`)
}

func TestOriginEmptiesWhatIsTooLate(t *testing.T) {
	var l originLog
	o := newOrigin(1, 1, 1)
	o.submit(0, 1, 1, []byte("a"), false, time.Second)
	o.submit(0, 2, 1, []byte("b"), false, 2*time.Second)
	o.number(0, l.send)
	l.want(t, "sent", `send 0/1 "a"`, `send 0/2 "b"`)
	o.expire(time.Second, l.answer)
	l.want(t, "the first is late", "expired 0 tag 1 sent true")
	o.expire(time.Second, l.answer)
	l.want(t, "it is answered once")
	o.resend(time.Second, l.send)
	l.want(t, "its number stays, its contents do not", `send 0/1 ""`, `send 0/2 "b"`)
	o.applied(time.Second, 0, 1, func(tag uint64) { t.Fatalf("tag %d was answered before", tag) })
	o.expire(2*time.Second, l.answer)
	l.want(t, "the second is late", "expired 0 tag 2 sent true")
}

func TestOriginProbesWithTheOldest(t *testing.T) {
	var l originLog
	o := newOrigin(1, 1, 1)
	o.submit(0, 1, 1, []byte("a"), false, time.Hour)
	o.submit(0, 2, 1, []byte("b"), false, time.Hour)
	o.number(0, l.send)
	l.lines = nil
	o.probe(300*time.Millisecond, 300*time.Millisecond, l.send)
	l.want(t, "patience has not run out")
	o.probe(301*time.Millisecond, 300*time.Millisecond, l.send)
	l.want(t, "one probe", `send 0/1 "a"`)
	o.probe(302*time.Millisecond, 300*time.Millisecond, l.send)
	l.want(t, "patience begins anew")
	o.applied(500*time.Millisecond, 0, 2, func(uint64) {})
	o.probe(time.Hour, 300*time.Millisecond, l.send)
	l.want(t, "nothing is left")
}

func TestOriginRefusesWhatHasNoNumber(t *testing.T) {
	var l originLog
	refused := func(loop int, tag uint64) { l.lines = append(l.lines, fmt.Sprintf("refused %d tag %d", loop, tag)) }
	o := newOrigin(1, 1, 2)
	o.submit(0, 1, 1, []byte("a"), false, time.Hour)
	o.number(0, l.send)
	o.submit(0, 2, 1, []byte("b"), false, time.Hour)
	o.submit(0, 3, 1, []byte("c"), true, time.Hour)
	o.submit(1, 9, 1, []byte("d"), false, time.Hour)
	l.lines = nil
	o.refuse(false, refused)
	o.number(0, l.send)
	l.want(t, "what frees room is let through, in the order of its loop", "refused 0 tag 2", "refused 1 tag 9", `send 0/2 "c"`)
	o.submit(0, 4, 1, []byte("e"), true, time.Hour)
	o.refuse(true, refused)
	l.want(t, "all", "refused 0 tag 4")
}
