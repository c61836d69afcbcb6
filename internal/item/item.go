// Package item holds what the protocols and the engine both know of an item and
// of operations on it: limits, fields, marks, statuses and results. It imports
// nothing.
package item

const (
	// KeyBytesMax is the longest key (protocol.txt, "Keys").
	KeyBytesMax = 250

	// headerBytes is what memcached counts for an item besides its key and value: a
	// header of 48 bytes, the cas unique of 8, and an end each of key (1) and value
	// (2). flagsBytes is counted too if the client flags are not 0.
	headerBytes = 48 + 8 + 1 + 2
	flagsBytes  = 4
)

// SizeBytes is the size of an item as memcached compares it with its item limit
// (-I).
func SizeBytes(keyBytes int, flags uint32, valueBytes int) int {
	n := headerBytes + keyBytes + valueBytes
	if flags != 0 {
		n += flagsBytes
	}
	return n
}

// Fields is a set of what an operation of the meta commands or the binary protocol
// asks for besides its kind. The letters are the flags of the meta commands.
type Fields uint16

// The fields. The operations of the classic commands have none of them.
const (
	HasCAS             Fields = 1 << iota // only if the item's cas unique is CAS; not of add and mg (C)
	HasNewCAS                             // the item gets NewCAS instead of the next number (E)
	HasExptime                            // Exptime, where the classic command has none (T)
	HasInitial                            // Initial: the value of a number that is created (J)
	HasVivify                             // Vivify: the exptime of an item that is created on a miss (N)
	HasRecache                            // Recache: seconds left below which a reader is to fetch the item again (R)
	Invalidate                            // a CAS above the item's is accepted and marks it stale; delete marks it (I)
	RemoveValue                           // delete keeps the item, without its value and client flags (x)
	KeepAccess                            // reading does not count as an access (u)
	TTLBefore                             // report the time to live from before Exptime or Vivify was set (t before T or N)
	TouchBeforeRecache                    // Exptime is set before Recache is compared, not after (T before R)
	TouchBeforeVivify                     // an item that is created ends with Vivify, not with Exptime (T before N)
	Detailed                              // only the details of the result
	fieldsEnd
)

// AllFields is the set of all fields.
const AllFields = fieldsEnd - 1

// Marks are what clients of the meta commands tell each other by an item.
type Marks uint8

// The marks. Stale and AlreadyWon are state of the item, Won belongs to one result,
// HitBefore is known to one node.
const (
	Won        Marks = 1 << iota // this client is to fetch the item again; of incr and decr: it created the item (W)
	Stale                        // the item was invalidated (X)
	AlreadyWon                   // another client is fetching it (Z)
	HitBefore                    // it was read before, on the node that is asked (h)
)

// Status is the outcome of an operation, named after memcached's reply.
type Status uint8

// The outcomes of an operation.
const (
	StatusNone Status = iota
	StatusStored
	StatusNotStored
	StatusExists
	StatusNotFound
	StatusDeleted
	StatusTouched
	StatusOK
	StatusNumber      // incr, decr: Result.Number is the new value
	StatusHit         // reads
	StatusMiss        // reads
	StatusNonNumeric  // incr, decr
	StatusTooLarge    // over the item limit, or half of the memory limit
	StatusOutOfMemory // the limit is reached and nothing may be evicted
	StatusTooSmall    // cache_memlimit: below the least
	StatusOutOfBounds // cache_memlimit: above what the cluster can grow to
	StatusFilling     // not done: the items of a backup are being restored
	StatusMalformed   // not done: no operation that a server can read

	// StatusesEnd is the first value that is free for outcomes of requests that
	// were not executed.
	StatusesEnd
)

// Result is the outcome of one operation. Who returns it says how long its slices
// are valid.
type Result struct {
	Status Status
	Marks  Marks
	Flags  uint32 // StatusHit
	CAS    uint64 // StatusHit
	Number uint64 // StatusNumber
	Key    []byte // StatusHit, StatusMiss
	Value  []byte // StatusHit

	// Results of the meta commands and the binary protocol report the item as it is
	// after the operation, by Flags and CAS too; 0 if there is none.
	SizeBytes   int   // of the value
	TTLSeconds  int64 // until the item expires; -1: never
	IdleSeconds int64 // between the last access and this one, on the node that is asked
}
