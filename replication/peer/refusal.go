package peer

import (
	"errors"
	"fmt"
)

// refusalBytesMax bounds the sentence of a refusal.
const refusalBytesMax = 4 << 10

// RefusedError is a peer's reason for refusing this node.
type RefusedError struct {
	Sentence string
	Passes   bool // by itself: the node may ask again soon
	Ours     bool // this node has refused the peer
}

func (e *RefusedError) Error() string { return e.Sentence }

// OutdatedError reports that a peer knows more of this node's data folder than the
// folder itself: it must not take part any more.
type OutdatedError struct{ Sentence string }

func (e *OutdatedError) Error() string { return e.Sentence }

// RemovedError reports that this node's data folder is no member any more: its server
// was removed, or another folder has its place.
type RemovedError struct{ Sentence string }

func (e *RemovedError) Error() string { return e.Sentence }

// refuse returns a refusal with a formatted sentence.
func refuse(format string, args ...any) *RefusedError {
	return &RefusedError{Sentence: fmt.Sprintf(format, args...)}
}

// refuseNow returns a refusal that passes by itself.
func refuseNow(format string, args ...any) *RefusedError {
	return &RefusedError{Sentence: fmt.Sprintf(format, args...), Passes: true}
}

// byUs marks a refusal as this node's own.
func byUs(err error) error {
	if refused, is := errors.AsType[*RefusedError](err); is {
		return &RefusedError{Sentence: refused.Sentence, Passes: refused.Passes, Ours: true}
	}
	return err
}

// final reports whether an error is a peer's refusal that stays, whatever this node
// does.
func final(err error) bool {
	var (
		refused  *RefusedError
		outdated *OutdatedError
		removed  *RemovedError
	)
	return errors.As(err, &refused) && !refused.Passes || errors.As(err, &outdated) || errors.As(err, &removed)
}

// isRefused reports whether an error is a peer's refusal, of any kind.
func isRefused(err error) bool {
	return final(err) || errors.As(err, new(*RefusedError))
}

// isRefusal reports whether a kind of frame is a refusal.
func isRefusal(kind uint64) bool {
	return kind == kindRefusal || kind == kindOutdated || kind == kindRemoved || kind == kindLater
}

// kindOfRefusal is the frame in which an error is told.
func kindOfRefusal(err error) uint64 {
	var (
		refused  *RefusedError
		outdated *OutdatedError
		removed  *RemovedError
	)
	switch {
	case errors.As(err, &outdated):
		return kindOutdated
	case errors.As(err, &removed):
		return kindRemoved
	case errors.As(err, &refused) && refused.Passes:
		return kindLater
	}
	return kindRefusal
}

// refusalOf is the opposite of kindOfRefusal.
func refusalOf(kind uint64, sentence string) error {
	switch kind {
	case kindOutdated:
		return &OutdatedError{sentence}
	case kindRemoved:
		return &RemovedError{sentence}
	}
	return &RefusedError{Sentence: sentence, Passes: kind == kindLater}
}
