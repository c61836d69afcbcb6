package protocol

import "raftcached/internal/item"

// Status is the outcome of a request. It determines the reply.
type Status = item.Status

// Result is the outcome of one operation. Its slices are borrowed: they are
// valid until the call that received the Result returns.
type Result = item.Result

// The outcomes of operations. The comment names the reply line.
const (
	StatusNone        = item.StatusNone
	StatusStored      = item.StatusStored      // STORED
	StatusNotStored   = item.StatusNotStored   // NOT_STORED
	StatusExists      = item.StatusExists      // EXISTS
	StatusNotFound    = item.StatusNotFound    // NOT_FOUND
	StatusDeleted     = item.StatusDeleted     // DELETED
	StatusTouched     = item.StatusTouched     // TOUCHED
	StatusOK          = item.StatusOK          // OK
	StatusNumber      = item.StatusNumber      // the new value of incr and decr: Result.Number
	StatusHit         = item.StatusHit         // gat, gats: a VALUE block; MetaGet, MetaGat
	StatusMiss        = item.StatusMiss        // gat, gats: nothing
	StatusNonNumeric  = item.StatusNonNumeric  // CLIENT_ERROR cannot increment or decrement non-numeric value
	StatusTooLarge    = item.StatusTooLarge    // SERVER_ERROR object too large for cache
	StatusOutOfMemory = item.StatusOutOfMemory // SERVER_ERROR out of memory storing object
	StatusTooSmall    = item.StatusTooSmall    // MEMLIMIT_TOO_SMALL cannot set maxbytes to less than 8m
	StatusOutOfBounds = item.StatusOutOfBounds // MEMLIMIT_ADJUST_FAILED out of bounds or unable to adjust
	StatusFilling     = item.StatusFilling     // SERVER_ERROR a backup is being restored
	StatusMalformed   = item.StatusMalformed   // SERVER_ERROR malformed operation
)

// The outcomes of requests that were not executed, or may not have been.
const (
	StatusNoLeader       = item.StatusesEnd + iota // SERVER_ERROR no leader: certainly not executed
	StatusOutcomeUnknown                           // SERVER_ERROR outcome unknown: may or may not have been executed
	StatusTimeout                                  // SERVER_ERROR a read could not be confirmed in time
	StatusRepairing                                // SERVER_ERROR this server's state is being replaced: certainly not executed
	StatusNoMajority                               // SERVER_ERROR no majority agrees on a state: certainly not executed
	StatusRemoved                                  // SERVER_ERROR this server is no member of the cluster: certainly not executed
	StatusDiskStalled                              // SERVER_ERROR this server's disk does not answer: certainly not executed
	StatusBusy                                     // SERVER_ERROR too many writes wait: certainly not executed
	StatusUnknownCommand                           // ERROR; this and the following are answers to no operation
	StatusInvalid                                  // CLIENT_ERROR bad command line format
	StatusAuthFailure                              // CLIENT_ERROR authentication failure
)
