package server

import (
	"bytes"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// saslPlain is the only SASL mechanism (RFC 4616). Its message is an identity to
// act as, which is ignored, a zero byte, the user, a zero byte, and the password.
const saslPlain = "PLAIN"

// Authenticator decides who may use the cache.
type Authenticator interface {
	// Authenticate reports whether this is the user's password, and what the user may
	// do: change nothing if readOnly, and use only keys with one of the prefixes unless
	// there are none. The prefixes never change. Any goroutine may call it. It keeps no
	// part of its arguments, and does not block.
	Authenticate(user, password []byte) (readOnly bool, prefixes [][]byte, ok bool)
}

// isPublic reports whether a client that has not authenticated gets the answer to
// its request. The parser lets nothing else through, but the server does not rely
// on that.
func isPublic(req *protocol.Request) bool {
	switch req.Command {
	case protocol.SASLAuth, protocol.SASLList, protocol.Version, protocol.Invalid:
		return true
	default:
		return false
	}
}

// logIn authenticates the client. A client whose authentication fails loses the
// access it had, as in memcached's init_sasl_conn.
func (c *conn) logIn(req *protocol.Request) {
	auth := c.loop.options.Authenticator
	if auth == nil {
		c.refuse(req, "ERROR\r\n", protocol.StatusUnknownCommand)
		return
	}
	c.loop.counters.Add(stats.AuthCmds, 1)
	user, password, ok := credentials(req)
	c.access = lockedOut
	if ok {
		var a access
		if a.readOnly, a.prefixes, ok = auth.Authenticate(user, password); ok {
			a.limited = a.readOnly || len(a.prefixes) > 0
			c.access = a
		}
	}
	switch {
	case !ok:
		c.loop.counters.Add(stats.AuthErrors, 1)
		c.refuse(req, "CLIENT_ERROR authentication failure\r\n", protocol.StatusAuthFailure)
	case req.Form.Codec == protocol.Binary:
		c.replyText(req, "Authenticated")
	default:
		c.reply("STORED\r\n")
	}
}

// credentials returns the user and the password of a SASLAuth.
func credentials(req *protocol.Request) (user, password []byte, ok bool) {
	if req.Form.Codec != protocol.Binary {
		return req.Key, req.Value, true
	}
	_, rest, begun := bytes.Cut(req.Value, []byte{0})
	user, password, parted := bytes.Cut(rest, []byte{0})
	return user, password, begun && parted && string(req.Key) == saslPlain
}

// listMechanisms answers Binary's request for the list of SASL mechanisms.
func (c *conn) listMechanisms(req *protocol.Request) {
	if c.loop.options.Authenticator == nil {
		c.refuse(req, "ERROR\r\n", protocol.StatusUnknownCommand)
		return
	}
	c.replyText(req, saslPlain)
}
