package protocol

// Status is the outcome of a request, from which its reply line follows.
type Status uint8

// The outcomes. The comment names the reply line.
const (
	StatusNone           Status = iota
	StatusStored                // STORED
	StatusNotStored             // NOT_STORED
	StatusExists                // EXISTS
	StatusNotFound              // NOT_FOUND
	StatusDeleted               // DELETED
	StatusTouched               // TOUCHED
	StatusOK                    // OK
	StatusNumber                // the new value of incr and decr: Result.Number
	StatusHit                   // gat, gats: a VALUE block; MetaGet, MetaGat
	StatusMiss                  // gat, gats: nothing
	StatusNonNumeric            // CLIENT_ERROR cannot increment or decrement non-numeric value
	StatusTooLarge              // SERVER_ERROR object too large for cache
	StatusOutOfMemory           // SERVER_ERROR out of memory storing object
	StatusTooSmall              // MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m
	StatusOutOfBounds           // MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust
	StatusNoLeader              // SERVER_ERROR no leader: certainly not executed
	StatusOutcomeUnknown        // SERVER_ERROR outcome unknown: may or may not have been executed
	StatusTimeout               // SERVER_ERROR a read could not be confirmed in time
	StatusRepairing             // SERVER_ERROR this server's state is being replaced: certainly not executed
	StatusNoMajority            // SERVER_ERROR nobody knows whose state is right: certainly not executed
	StatusUnknownCommand        // ERROR; this and the following are answers to no operation
	StatusInvalid               // CLIENT_ERROR bad command line format
	StatusAuthFailure           // CLIENT_ERROR authentication failure
)

// Result is the outcome of one operation. Its slices are borrowed: they are
// valid until the call that received the Result returns.
type Result struct {
	Status Status
	Flags  uint32 // StatusHit
	CAS    uint64 // StatusHit; of Meta and Binary whatever the item has now, 0 if there is none
	Number uint64 // StatusNumber
	Key    []byte // StatusHit, StatusMiss
	Value  []byte // StatusHit

	// The rest is for Meta and Binary.
	SizeBytes   int   // of the value, after append and prepend too
	TTLSeconds  int64 // until the item expires; -1: never
	Marks       Marks
	IdleSeconds int64 // since the last access, on the node that is asked
}

// Marks are what Meta tells of an item besides its content.
type Marks uint8

// The marks.
const (
	Won        Marks = 1 << iota // this client is to fetch the item anew (W); of incr and decr: they created it
	Stale                        // the item was invalidated (X)
	AlreadyWon                   // another client is fetching it (Z)
	HitBefore                    // it was read before, on the node that is asked (h)
)
