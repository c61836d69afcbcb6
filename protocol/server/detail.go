package server

import "raftcached/protocol"

// What "stats detail" counts is what memcached does: get, gets, gat and gats, the
// commands that store and delete, and those of the binary protocol, but neither incr and
// decr nor the meta commands. A gat is counted when it is passed on, its hit when it is
// answered.

func (s *Server) noteGet(key []byte, hit bool) {
	s.prefixes.Get(key)
	if hit {
		s.prefixes.Hit(key)
	}
}

// noteWrite counts a write of which the backend has accepted the first keys.
func (s *Server) noteWrite(req *protocol.Request, keys int) {
	switch {
	case !countsPrefix(req.Command, req.Form.Codec):
	case len(req.Keys) > 0:
		for _, key := range req.Keys[:keys] {
			s.prefixes.Get(key)
		}
	case req.Command == protocol.Delete:
		s.prefixes.Delete(req.Key)
	case req.Command.IsStore():
		s.prefixes.Set(req.Key)
	default:
		s.prefixes.Get(req.Key)
	}
}

// countsPrefix reports whether a write is counted for its prefix.
func countsPrefix(c protocol.Command, codec protocol.Codec) bool {
	switch c {
	case protocol.MetaGet, protocol.MetaGat, protocol.Touch:
		return codec == protocol.Binary
	case protocol.Get, protocol.Gets, protocol.Gat, protocol.Gats, protocol.Delete:
		return codec != protocol.Meta
	}
	return c.IsStore() && codec != protocol.Meta
}
