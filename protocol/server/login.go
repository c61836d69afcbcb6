package server

import (
	"bytes"

	"raftcached/protocol"
	"raftcached/protocol/server/stats"
)

// saslPlain is the one SASL mechanism (RFC 4616): the message is an identity to
// act as, which is passed over, the user and the password, with a zero byte in
// front of each of the latter two.
const saslPlain = "PLAIN"

// Authenticator knows who may use the cache.
type Authenticator interface {
	// Authenticate reports whether the user has this password. Any goroutine may
	// call it. It keeps neither of the two, and does not block.
	Authenticate(user, password []byte) bool
}

// isPublic reports whether a client that has not told its password may have the
// answer to its request. The parser lets nothing else through; this is the lock
// that the rest of the server relies on.
func isPublic(req *protocol.Request) bool {
	switch req.Command {
	case protocol.SASLAuth, protocol.SASLList, protocol.Version, protocol.Invalid:
		return true
	default:
		return false
	}
}

// logIn looks whether the user may use the cache. Who could before and now tells
// a wrong password cannot any more, as in memcached's init_sasl_conn.
func (c *conn) logIn(req *protocol.Request) {
	auth := c.loop.options.Authenticator
	if auth == nil {
		c.refuse(req, "ERROR\r\n", protocol.StatusUnknownCommand)
		return
	}
	c.loop.counters.Add(stats.AuthCmds, 1)
	user, password, ok := credentials(req)
	switch {
	case !ok || !auth.Authenticate(user, password):
		c.loop.counters.Add(stats.AuthErrors, 1)
		c.locked = true
		c.refuse(req, "CLIENT_ERROR authentication failure\r\n", protocol.StatusAuthFailure)
		return
	case req.Form.Codec == protocol.Binary:
		c.out = protocol.AppendText(c.buffer(), &req.Form, "Authenticated")
	default:
		c.reply("STORED\r\n")
	}
	c.locked = false
}

// credentials returns the user and the password that a SASLAuth tells.
func credentials(req *protocol.Request) (user, password []byte, ok bool) {
	if req.Form.Codec != protocol.Binary {
		return req.Key, req.Value, true
	}
	_, rest, begun := bytes.Cut(req.Value, []byte{0})
	user, password, parted := bytes.Cut(rest, []byte{0})
	return user, password, begun && parted && string(req.Key) == saslPlain
}

// listMechanisms answers Binary's question for the ways to authenticate.
func (c *conn) listMechanisms(req *protocol.Request) {
	if c.loop.options.Authenticator == nil {
		c.refuse(req, "ERROR\r\n", protocol.StatusUnknownCommand)
		return
	}
	c.out = protocol.AppendText(c.buffer(), &req.Form, saslPlain)
}
