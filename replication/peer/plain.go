package peer

import (
	"net"
	"sync"
)

// spoken remembers for the life of a process which servers have spoken TLS with it. Where TLS is
// optional, who is on the way could have such a one go without otherwise: by ending its
// handshakes. It can still do so with a server that this process has not met yet.
//
// It has as many servers as there are certificates of the authority, and addresses of those
// that a new folder has asked.
type spoken struct {
	mu      sync.Mutex
	servers map[int]bool
	addrs   map[string]bool  // that were dialed without knowing which server is there
	plain   map[net.Conn]int // connections without TLS, and whose they are
	told    map[int]bool     // servers without TLS that the log has
}

// plainToldMax bounds the servers of which the log says that they are without TLS: without it
// anybody may call itself any server.
const plainToldMax = 64

// by reports whether a server has spoken TLS, or, of anyServer, one at an address.
func (s *spoken) by(serverID int, addr string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if serverID == anyServer {
		return s.addrs[addr]
	}
	return s.servers[serverID]
}

// note remembers it, and closes the connections of the server that are without TLS: those were
// made while its handshakes were ended early.
func (s *spoken) note(serverID int, addr string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers == nil {
		s.servers, s.addrs = map[int]bool{}, map[string]bool{}
	}
	if serverID == anyServer {
		s.addrs[addr] = true
		return
	}
	s.servers[serverID] = true
	for conn, of := range s.plain {
		if of == serverID {
			_ = conn.Close() // it is dialed again, in TLS
		}
	}
}

// carry takes in a connection without TLS that carries messages, and reports whether that is
// news of its server. A server that has spoken TLS meanwhile has it closed.
func (s *spoken) carry(conn net.Conn, serverID int) (news bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.servers[serverID] {
		_ = conn.Close()
	}
	if s.plain == nil {
		s.plain, s.told = map[net.Conn]int{}, map[int]bool{}
	}
	s.plain[conn] = serverID
	news = !s.told[serverID] && len(s.told) < plainToldMax
	if news {
		s.told[serverID] = true
	}
	return news
}

// drop takes out a connection that has ended.
func (s *spoken) drop(conn net.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.plain, conn)
}

// carry notes that a connection carries messages of a server, or to it, if it is in the clear
// although this node has TLS. The function that it returns is to be called when it has ended.
func (t *Transport) carry(conn net.Conn, serverID int, s Stream) (ended func()) {
	if _, secure := conn.(secured); secure || t.config.TLS == nil {
		return func() {}
	}
	if t.config.TLS.spoken.carry(conn, serverID) {
		t.log.Warn("a server is connected without TLS: what crosses the network is in the clear until it has a certificate too",
			"server", serverID, "stream", s.String(), "remote", conn.RemoteAddr().String())
	}
	return func() { t.config.TLS.spoken.drop(conn) }
}
