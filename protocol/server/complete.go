package server

import "raftcached/protocol"

// textForm is the form of every classic text command.
var textForm protocol.Form

// WriteDone implements Completer.
func (l *loop) WriteDone(r *protocol.Result) {
	w := l.writes.front()
	if w == nil {
		panic("server: WriteDone without an unanswered write")
	}
	c := w.c
	w.keys--
	last := w.keys == 0
	form := &textForm
	if w.formed {
		l.form = l.forms.pop() // a formed write has one answer
		form = &l.form
	}
	if w.read {
		c.joined--
		r = l.readDone(r)
	} else {
		l.counters.AddWrite(w.command, form.Codec, w.fields, r)
	}
	if r.Status == protocol.StatusHit && len(r.Key) > 0 && l.server.prefixes.On() && countsPrefix(w.command, form.Codec) {
		l.server.prefixes.Hit(r.Key)
	}
	c.unanswered--
	if last {
		c.owed -= w.owed
	}
	if c.life != lifeClosed {
		c.answerWrite(w, form, r, last)
		l.touch(c)
	}
	if last {
		if !w.more {
			l.timing.writeDone(w)
		}
		l.writes.pop()
	}
}

// BarriersDone implements Completer.
func (l *loop) BarriersDone(n int, s protocol.Status) {
	for range n {
		front := l.barriers.front()
		if front == nil {
			panic("server: BarriersDone without an unanswered barrier")
		}
		c := *front
		l.barriers.pop()
		c.barrierDone(s)
		l.touch(c)
	}
}

// Awaited implements Completer.
func (l *loop) Awaited(waiter any, ok bool) {
	c := waiter.(*conn)
	if !ok {
		c.reads.granted, c.reads.first = 0, Heed{}
	}
	c.came(waitChange)
	l.touch(c)
}

// ResultsEnd implements Completer.
func (l *loop) ResultsEnd() {
	for _, c := range l.touched {
		c.touched = false
		c.lookUnanswered()
		c.serve()
	}
	clear(l.touched)
	l.touched = l.touched[:0]
	l.timing.end()
	l.unblock()
}

// touch has the connection served at ResultsEnd.
func (l *loop) touch(c *conn) {
	if !c.touched && c.life != lifeClosed {
		c.touched = true
		l.touched = append(l.touched, c)
	}
}

// unblock lets the connections whose writes were refused try again, in the order
// in which they were refused, up to one that is refused again. That one keeps its place:
// there is room for its write when those before it are answered, however large it is.
func (l *loop) unblock() {
	for l.served = 0; l.served < len(l.blocked); {
		c := l.blocked[l.served]
		l.served++
		c.came(waitBackend)
		l.turn = c
		c.serve()
		refused := l.turn == c && c.wait == waitBackend
		l.turn = nil
		if refused {
			l.served--
			l.blocked = l.blocked[:len(l.blocked)-1] // where it was put just now
			break
		}
	}
	rest := copy(l.blocked, l.blocked[l.served:])
	clear(l.blocked[rest:])
	l.blocked, l.served = l.blocked[:rest], 0
}

// mustQueue reports whether a write has to wait for those that were refused before it.
func (l *loop) mustQueue(c *conn) bool { return len(l.blocked) > l.served && l.turn != c }
