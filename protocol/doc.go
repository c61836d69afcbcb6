// Package protocol implements memcached's protocols, in text and in packets: bytes in,
// requests out; results in, reply bytes out. It does no IO and reads no clock.
//
// Read first: Parser.Parse; Request; Result; AppendAnswer and AppendValue.
//
// The specification is memcached's doc/protocol.txt, or the program of version 1.6.45
// where it differs. testdata has dialogues byte by byte, which are replayed against a
// model, against this server and against a real memcached.
//
// A request in text is a line, and for storage commands a data block of the declared
// length:
//
//	get|gets KEY...                                   up to 1 MiB
//	gat|gats EXPTIME KEY...                           these and the following: up
//	set|add|replace|append|prepend                    to 2048 bytes, unless the
//	    KEY FLAGS EXPTIME BYTES [noreply]             line is received at once
//	cas KEY FLAGS EXPTIME BYTES CAS [noreply]
//	touch KEY EXPTIME [noreply]
//	delete KEY [0] [noreply]
//	incr|decr KEY DELTA [noreply]
//	flush_all [DELAY] [noreply]
//	cache_memlimit MB [noreply]
//	version | verbosity LEVEL [noreply] | stats [ARG...] | shutdown [graceful] | quit
//	config get WHAT
//	lru_crawler metadump|mgdump|crawl all|hash|CLASS,... | enable | disable | tocrawl N | sleep N
//	mg|md|ma KEY FLAG...                              meta commands
//	ms KEY BYTES FLAG...
//	me KEY [b]
//	mn
//
//	word     size     what it is
//	KEY      1..250   bytes, any but a space and a line feed
//	FLAGS    32 bits  decimal; of more, the lower 32 are kept
//	EXPTIME  32 bits  decimal, may be negative; of storage commands 64 bits
//	BYTES    31 bits  decimal: length of the data block without its line end
//	CAS      64 bits  decimal
//	DELTA    64 bits  decimal
//	MB       32 bits  decimal: mebibytes, up to 1000000000
//
// A flag of a meta command is a letter, followed without a space by a token if it is
// a capital letter other than I, P and L. A line has up to 20 words, and no flag
// twice:
//
//	b             KEY is base64            C 64 bits   mg: no value if the cas unique is that
//	k O           return KEY, and the             else: only if it is that
//	              token, up to 31 bytes    E 64 bits   the new cas unique
//	q             no answer to success;    T 32 bits   exptime
//	              of mg, to a miss         N 32 bits   exptime of what is created on a miss
//	P L           for proxies: none here   R 32 bits   mg: win if less time is left
//	v             return the value         F 32 bits   ms: client flags
//	c f h l s t   return cas unique,       J D 64 bits ma: initial value, delta
//	              client flags, hit        M letter    ms: E add, A append, P prepend,
//	              before, seconds since            R replace, S set;
//	              access, size, ttl                ma: I or +, D or -
//	u             mg: is no access         I           ms, md: invalidate
//	                                       x           md: remove the value only
//
// Words are separated by one or more spaces. Lines end in "\r\n" or "\n", data
// blocks in "\r\n". Additional words are ignored, but the last one may be noreply.
//
// A connection whose first byte is 0x80 uses the binary protocol instead: packets
// (protocol_binary.txt). Numbers are big-endian:
//
//	byte     0          1          2          3
//	   0  | magic    | opcode   | key length          |
//	   4  | extras l.| 0        | 0, status in answers |
//	   8  | body length: extras, key and value         |
//	  12  | opaque, which the answer repeats           |
//	  16  | cas unique                                 |
//	  20  |                                            |
//	  24  | extras, key, value                         |
//
//	opcode                               extras                          key  value
//	get getq getk getkq                  -                               key  -
//	set add replace, q                   flags 4, exptime 4              key  value
//	append prepend, q                    -                               key  value
//	delete, q                            -                               key  -
//	increment decrement, q               delta 8, initial 8, exptime 4   key  -
//	touch gat gatq gatk gatkq            exptime 4                       key  -
//	flush, q                             - or exptime 4                  -    -
//	verbosity                            level 4                         -    -
//	stat                                 -                               or - -
//	quit, q noop version, list of SASL   -                               -    -
//	SASL auth, step                      -                               mechanism, value
//
// The magic is 0x80 in requests and 0x81 in answers. A body may have up to
// 1 GiB, but nothing larger than an item is kept. A packet that does not fit its
// opcode is answered, and then the connection is closed.
//
// A Parser belongs to one connection and one goroutine. The functions are pure.
// Parsing and replying allocate nothing in steady state.
package protocol
