//go:build linux

package bench

import (
	"bytes"
	"strconv"
)

// outcome is the meaning of a reply.
type outcome uint8

const (
	done   outcome = iota // STORED
	hit                   // VALUE
	miss                  // END alone
	failed                // anything else
)

var (
	valueStart = []byte("VALUE ")
	endLine    = []byte("END\r\n")
	storedLine = []byte("STORED\r\n")
)

// parse returns the length and the meaning of the first reply in b, length 0 if it is
// not complete.
func (d Dialect) parse(b []byte, isGet bool) (int, outcome) {
	if d == Memcached {
		return parseReply(b, isGet)
	}
	return parseRedisReply(b, isGet)
}

// parseReply returns the length of the first reply in b, 0 if it is not complete.
func parseReply(b []byte, isGet bool) (int, outcome) {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		return 0, failed
	}
	line := b[:end]
	switch {
	case !isGet && bytes.Equal(line, storedLine):
		return end, done
	case isGet && bytes.Equal(line, endLine):
		return end, miss
	case isGet && bytes.HasPrefix(line, valueStart):
		line = bytes.TrimRight(line, "\r\n")
		size, err := strconv.Atoi(string(line[bytes.LastIndexByte(line, ' ')+1:]))
		if err != nil || size < 0 {
			return end, failed
		}
		if end += size + len("\r\n") + len(endLine); end > len(b) {
			return 0, failed
		}
		return end, hit
	}
	return end, failed
}

// The command that makes Redis wait, at most 10 s, until one replica has received all
// that this connection has written, and its reply then starts with a colon.
const waitCommand = "*3\r\n$4\r\nWAIT\r\n$1\r\n1\r\n$5\r\n10000\r\n"

var (
	okLine        = []byte("+OK\r\n")
	noReplicaLine = []byte(":0\r\n")
	nilLine       = []byte("$-1\r\n")
)

// parseRedisReply is parseReply for the replies of SET and GET in RESP.
func parseRedisReply(b []byte, isGet bool) (int, outcome) {
	end := bytes.IndexByte(b, '\n') + 1
	if end == 0 {
		return 0, failed
	}
	line := b[:end]
	switch {
	case !isGet && bytes.Equal(line, okLine):
		return end, done
	case isGet && bytes.Equal(line, nilLine):
		return end, miss
	case isGet && line[0] == '$':
		size, err := strconv.Atoi(string(bytes.TrimRight(line[1:], "\r\n")))
		if err != nil || size < 0 {
			return end, failed
		}
		if end += size + len("\r\n"); end > len(b) {
			return 0, failed
		}
		return end, hit
	}
	return end, failed
}

// waitReply looks for the reply of WAIT behind those of the burst. complete is false
// until it is there; the outcome says whether a replica has the writes.
func (c *conn) waitReply() (_ outcome, complete bool) {
	at := 0
	for _, isGet := range c.gets {
		n, _ := parseRedisReply(c.in[at:c.filled], isGet)
		if n == 0 {
			return failed, false
		}
		at += n
	}
	line := c.in[at:c.filled]
	switch end := bytes.IndexByte(line, '\n') + 1; {
	case end == 0:
		return failed, false
	case line[0] != ':' || bytes.Equal(line[:end], noReplicaLine):
		return failed, true
	}
	return done, true
}
