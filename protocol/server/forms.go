package server

import "raftcached/protocol"

// formBytesKept is the largest buffer for the bytes of forms that is kept when no
// form is left. The writes in flight of one loop rarely need more.
const formBytesKept = 64 << 10

// forms is a queue of the forms of writes that are not answered. A form aliases
// the input, which has been discarded when the answer comes, so its bytes are
// copied. The queue is bounded by what the backend accepts.
type forms struct {
	queue fifo[keptForm]
	bytes []byte // flags and key of each form, in order; the oldest begin at head
	head  int
}

// keptForm is a form without its bytes.
type keptForm struct {
	form       protocol.Form
	flagsBytes int
	keyBytes   int
}

// push keeps a copy of f.
func (s *forms) push(f *protocol.Form) {
	if need := len(f.Flags) + len(f.Key); s.head > 0 && len(s.bytes)+need > cap(s.bytes) && s.head >= len(s.bytes)/2 {
		s.bytes = s.bytes[:copy(s.bytes, s.bytes[s.head:])]
		s.head = 0
	}
	s.bytes = append(append(s.bytes, f.Flags...), f.Key...)
	kept := keptForm{form: *f, flagsBytes: len(f.Flags), keyBytes: len(f.Key)}
	kept.form.Flags, kept.form.Key = nil, nil
	s.queue.push(kept)
}

// pop removes the oldest form. Its slices are valid until the next push.
func (s *forms) pop() protocol.Form {
	kept := *s.queue.front()
	s.queue.pop()
	flags := s.bytes[s.head:][:kept.flagsBytes]
	key := s.bytes[s.head+kept.flagsBytes:][:kept.keyBytes]
	s.head += kept.flagsBytes + kept.keyBytes
	if s.queue.n == 0 {
		s.head = 0
		if s.bytes = s.bytes[:0]; cap(s.bytes) > formBytesKept {
			s.bytes = nil
		}
	}
	kept.form.Flags, kept.form.Key = flags, key
	return kept.form
}
