package protocol

import "raftcached/internal/item"

// Command is what a request does, whatever its protocol (protocol.txt, "Commands").
type Command uint8

// The commands that Parser recognises; String returns the name that a client uses.
// Invalid is any input that is answered with an error; Request.Reply is the error
// line.
const (
	Invalid Command = iota
	Get
	Gets
	Gat
	Gats
	Set
	Add
	Replace
	Append
	Prepend
	CAS
	Touch
	Delete
	Incr
	Decr
	FlushAll
	MetaGat // mg with T, Binary's gat: a read that changes the expiry
	CacheMemlimit
	Version
	Verbosity
	Stats
	Shutdown
	Quit
	MetaGet   // mg without T, Binary's get: a read, or a write if the item would change
	MetaDebug // me
	Noop      // mn, Binary's noop
	ConfigGet // "config get ARG", ElastiCache's auto discovery
	SASLList  // Binary's list of SASL mechanisms
	SASLAuth  // Binary's SASL auth and step: Key is the mechanism, Value its message
	MetaDump  // lru_crawler metadump
	MGDump    // lru_crawler mgdump
	CacheDump // stats cachedump
	Crawler   // lru_crawler, others: Arg is the subcommand

	RefreshCerts // refresh_certs: the certificates of TLS are to be read again
)

// IsRead reports whether the command reads the cache without going through the log.
func (c Command) IsRead() bool {
	return c == Get || c == Gets || c == MetaGet || c == MetaDebug
}

// IsWrite reports whether the command goes through the raft log. gat and gats do,
// because they change an item's expiry.
func (c Command) IsWrite() bool {
	switch c {
	case Gat, Gats, MetaGat, Touch, Delete, Incr, Decr, FlushAll, CacheMemlimit:
		return true
	}
	return c.IsStore()
}

// IsDump reports whether the command lists the items.
func (c Command) IsDump() bool { return c == MetaDump || c == MGDump || c == CacheDump }

// IsStore reports whether the command carries a value to store.
func (c Command) IsStore() bool {
	switch c {
	case Set, Add, Replace, Append, Prepend, CAS:
		return true
	}
	return false
}

// comparesCAS reports whether a packet of the command may carry a cas unique that
// the item must have.
func (c Command) comparesCAS() bool { return c.IsStore() || c == Delete || c == Incr || c == Decr }

// Request is one parsed command. Its slices alias the parser's input, or the
// parser if the key was base64, and are valid only until that input is discarded
// or the parser is called again: a caller must copy what it keeps.
type Request struct {
	Command Command
	NoReply bool // "noreply" was given: no answer is sent, not even an error of execution

	// TooLarge marks a storage command whose item exceeds the item limit. Its
	// data block is dropped and Value is nil. As in memcached, a set that is too
	// large removes the old item; the other commands do not.
	TooLarge bool

	Flags   uint32 // client flags of storage commands
	Exptime int64  // as the client sent it: 0, negative, relative or absolute seconds
	CAS     uint64 // cas unique of cas, or with HasCAS
	Delta   uint64 // of incr and decr; of cache_memlimit the limit in bytes; of CacheDump the most items, 0: all

	Key   []byte   // the only or the first key
	Keys  [][]byte // all keys of get, gets, gat and gats; reused by the parser
	Value []byte   // data block of storage commands, without its line end

	// Fields says which of the following the client has set; only Meta and Binary
	// have them.
	Fields  item.Fields
	NewCAS  uint64 // HasNewCAS: cas unique that the item gets (E)
	Initial uint64 // HasInitial: value of a counter that is created (J)
	Vivify  int64  // HasVivify: exptime of an item that is created on a miss (N)
	Recache int64  // HasRecache: with less time left, one client wins the right to recache; seconds (R)

	Form Form // of the answer

	// NoWin means that a MetaGet changes nothing: if an item is to be fetched again,
	// this client does not win that. The parser never sets it.
	NoWin bool

	Arg []byte // of stats, the rest of the line, trimmed; of ConfigGet, what is asked for

	// NoItems means that a dump asks for slab classes that hold nothing.
	NoItems bool

	// Reply is the answer to an Invalid request of Text or Meta: an error line with
	// its end. It is empty if "noreply" silences the error.
	Reply string

	// Status says why a Binary request is Invalid; it has no Reply.
	Status Status

	// HangUp marks an Invalid Binary request after which the connection cannot
	// continue: it is closed when the request is answered.
	HangUp bool

	// What must be dropped after the request: an unwanted data block, or the rest of a
	// line.
	swallowBytes int
	swallowLine  bool
}
