package eventloop

const (
	// inputSpareMax and inputSpareBytesMax bound the buffers for decrypted input that a
	// loop keeps for later use.
	inputSpareMax      = 64
	inputSpareBytesMax = 64 << 10

	// inputBytesMin is the size of a new one.
	inputBytesMin = 4 << 10
)

// plainInput is input that was decrypted and not discarded: in a buffer that grows, or,
// from hoardMin on, in a hoard. A connection without input has neither.
type plainInput struct {
	buffer []byte
	from   int // what comes before is discarded
	hoard  hoard
}

// size returns how many bytes there are.
func (in *plainInput) size() int { return len(in.buffer) - in.from + in.hoard.n }

// bytes returns them. Only one of buffer and hoard has any.
func (in *plainInput) bytes() []byte {
	if in.hoard.n > 0 {
		return in.hoard.bytes()
	}
	return in.buffer[in.from:]
}

// add copies p to the end. It fails if there is no memory.
func (in *plainInput) add(p []byte, l *gnetLoop) error {
	if in.hoard.n == 0 && in.size()+len(p) <= hoardMin {
		if in.buffer == nil {
			in.buffer = l.tls.takeBuffer()
		}
		if len(in.buffer)+len(p) > cap(in.buffer) {
			in.buffer, in.from = in.buffer[:copy(in.buffer, in.buffer[in.from:])], 0
		}
		in.buffer = append(in.buffer, p...)
		return nil
	}
	rest := in.buffer[in.from:]
	room, err := in.hoard.room(len(rest)+len(p), l)
	if err != nil {
		return err
	}
	copy(room, rest)
	copy(room[len(rest):], p)
	in.hoard.n += len(room)
	in.leaveBuffer(l)
	return nil
}

// discard drops the first n bytes.
func (in *plainInput) discard(n int, l *gnetLoop) {
	switch {
	case n == 0:
	case in.hoard.n > 0:
		in.hoard.discard(n, l)
	default:
		if in.from += min(n, in.size()); in.from == len(in.buffer) {
			in.leaveBuffer(l)
		}
	}
}

// leaveBuffer gives the buffer back.
func (in *plainInput) leaveBuffer(l *gnetLoop) {
	l.tls.putBuffer(in.buffer)
	in.buffer, in.from = nil, 0
}

// leave drops everything when the connection closes. The handler may be at work on it, so
// the buffer is nobody else's then.
func (in *plainInput) leave(l *gnetLoop) {
	in.hoard.leave(l)
	in.buffer, in.from = nil, 0
}

func (shared *tlsLoop) takeBuffer() []byte {
	if n := len(shared.spare); n > 0 {
		b := shared.spare[n-1]
		shared.spare = shared.spare[:n-1]
		return b
	}
	return make([]byte, 0, inputBytesMin)
}

func (shared *tlsLoop) putBuffer(b []byte) {
	if b != nil && len(shared.spare) < inputSpareMax && cap(b) <= inputSpareBytesMax {
		shared.spare = append(shared.spare, b[:0])
	}
}
