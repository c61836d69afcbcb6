package protocol

// Command names a request of the classic text protocol (protocol.txt,
// "Commands").
type Command uint8

// The commands that Parser recognises; String names them as a client does. Invalid stands for any input that is
// answered with an error line; Request.Reply then holds that line.
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
	CacheMemlimit
	Version
	Verbosity
	Stats
	Shutdown
	Quit
)

// IsRead reports whether the command only reads the cache.
func (c Command) IsRead() bool { return c == Get || c == Gets }

// IsWrite reports whether the command goes through the log. gat and gats do,
// because they change an item's expiry.
func (c Command) IsWrite() bool {
	return c == Gat || c == Gats || c >= Set && c <= CacheMemlimit
}

// Request is one parsed command. Its slices alias the parser's input and are
// valid only until that input is discarded: whatever is kept must be copied.
type Request struct {
	Command Command
	NoReply bool // "noreply" was given: send no answer, not even an error of execution

	// TooLarge marks a storage command whose item exceeds the item limit. Its
	// data block is swallowed and Value is nil. A set that is too large removes
	// the old item, as memcached does; the other commands leave it.
	TooLarge bool

	Flags   uint32 // client flags of storage commands
	Exptime int64  // as the client sent it: 0, negative, relative or absolute seconds
	CAS     uint64 // cas unique of cas
	Delta   uint64 // of incr and decr; of cache_memlimit the limit in bytes

	Key   []byte   // the only or the first key
	Keys  [][]byte // all keys of get, gets, gat and gats; reused by the parser
	Value []byte   // data block of storage commands, without its line end

	Arg []byte // rest of the line of stats, trimmed; empty otherwise

	// Reply is the complete error line, "\r\n" included, of an Invalid request.
	// It is empty if "noreply" silences the error.
	Reply string

	// What Parser.Consumed has to drop behind the request: a data block that was
	// not wanted, or the rest of a line.
	swallowBytes int
	swallowLine  bool
}
