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

	// Unproved tells that the other side has not proved to be a server of the cluster, though
	// this node could tell: an impostor at a server's address says such a thing too.
	Unproved bool
	// OneSided tells that it is about TLS: another server may have the right certificates,
	// or authorities.
	OneSided bool
	// Apart tells that the programs of both sides speak no version in common. Another one in
	// either place mends that, and without a secret and TLS anybody can say such a thing: who
	// forms or joins a cluster goes on asking.
	Apart bool
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
		ours := *refused
		ours.Ours = true
		return &ours
	}
	return err
}

// doubt returns an error that comes of what the other side says as it counts if that has
// proved to be a server of the cluster, or not. Where nobody can prove it, everybody is believed.
func (t *Transport) doubt(err error, proved bool) error {
	if proved || !isRefused(err) && !errors.As(err, new(*LaterError)) || t.believesAll() {
		return err
	}
	doubtful := RefusedError{Sentence: err.Error(), Unproved: true}
	if refused, is := errors.AsType[*RefusedError](err); is {
		doubtful.Sentence, doubtful.Passes, doubtful.Ours, doubtful.OneSided = refused.Sentence, refused.Passes, refused.Ours, refused.OneSided
		doubtful.Apart = refused.Apart
	}
	return &doubtful
}

// believesAll reports whether nobody can prove to this node to be a server of the cluster.
func (t *Transport) believesAll() bool { return len(t.config.Secret) == 0 && t.config.TLS == nil }

// headline says what an error is that a server goes on after.
func (e *RefusedError) headline() string {
	switch {
	case e.Ours:
		return "not taken for a peer"
	case e.Unproved:
		return "not believed, as who says it has not proved to be a peer"
	}
	return "refused by a peer"
}

// final reports whether an error is a peer's refusal that stays, whatever this node
// does.
func final(err error) bool {
	var (
		refused  *RefusedError
		outdated *OutdatedError
		removed  *RemovedError
	)
	return errors.As(err, &refused) && !refused.Passes && !refused.Unproved && !refused.OneSided && !refused.Apart || errors.As(err, &outdated) || errors.As(err, &removed)
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
