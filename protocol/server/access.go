package server

import (
	"bytes"

	"raftcached/protocol"
)

// access is what the client of a connection may do: everything, without a limit. It is
// set by a login and holds until the next one. Its prefixes belong to the
// Authenticator.
type access struct {
	limited  bool     // one of the limits below is set; the only field that most requests look at
	locked   bool     // the client has to authenticate first
	readOnly bool     // it may change nothing
	prefixes [][]byte // it may use only keys with one of these; nil: all keys
}

// lockedOut is the access of a client that has not authenticated.
var lockedOut = access{limited: true, locked: true}

// The lines that answer a request that its user may not make. Binary answers with
// StatusAuthFailure.
const (
	notAllowedWrite   = "CLIENT_ERROR write not allowed\r\n"
	notAllowedKey     = "CLIENT_ERROR key not allowed\r\n"
	notAllowedCommand = "CLIENT_ERROR command not allowed\r\n"
)

// refusal is the line that answers a request that the user may not make, or "". A
// request with several keys is refused as a whole: nothing of it is read or changed.
func (a *access) refusal(req *protocol.Request) string {
	switch req.Right() {
	case protocol.RightNone:
		return ""
	case protocol.RightRead:
		if !asksForMembers(req) && !a.allowsKeys(req) {
			return notAllowedKey
		}
		return ""
	case protocol.RightWrite:
		switch {
		case a.readOnly:
			return notAllowedWrite
		case !a.allowsKeys(req):
			return notAllowedKey
		}
		return ""
	case protocol.RightList:
		if len(a.prefixes) > 0 {
			return notAllowedCommand
		}
		return ""
	default:
		return notAllowedCommand
	}
}

// allowsKeys reports whether the user may use all keys of a request.
func (a *access) allowsKeys(req *protocol.Request) bool {
	if len(a.prefixes) == 0 {
		return true
	}
	if len(req.Keys) == 0 {
		return a.allowsKey(req.Key)
	}
	for _, key := range req.Keys {
		if !a.allowsKey(key) {
			return false
		}
	}
	return true
}

// allowsKey reports whether the user may use a key.
func (a *access) allowsKey(key []byte) bool {
	for _, prefix := range a.prefixes {
		if bytes.HasPrefix(key, prefix) {
			return true
		}
	}
	return false
}
