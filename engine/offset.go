package engine

// The engine's time is the log's, which never goes back and does not jump when a clock is
// set. Its offset is how far it is ahead of the clocks on the wall, which absolute times
// of clients mean. It is part of the replicated state.

// offsetMaxMs bounds an offset: more than that no two clocks of 32 bits differ.
const offsetMaxMs = 1 << 43

// offsetBytes is the size of an offset in an image.
const offsetBytes = 8

// OffsetMs is how far the engine's time is ahead of the wall clocks; negative: behind. Any
// goroutine may call it.
func (e *Engine) OffsetMs() int64 { return e.offset.Load() }

// Correction is the operation that makes the offset another one.
func (*Engine) Correction(offsetMs int64) []byte {
	return AppendOp(nil, &Op{Kind: OpOffset, Exptime: offsetMs})
}

// validOffset reports whether an offset is one that is written down: not 0.
func validOffset(ms int64) bool { return ms != 0 && ms >= -offsetMaxMs && ms <= offsetMaxMs }

func (e *Engine) setOffset(ms int64) { e.offset.Store(min(max(ms, -offsetMaxMs), offsetMaxMs)) }
