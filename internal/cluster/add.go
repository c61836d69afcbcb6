package cluster

import (
	"fmt"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Add prepares one more server, with the next id, which asks the others to let it come
// in. It does not start it, nor announce it. args are more of its flags.
func (c *Cluster) Add(args ...string) *Server {
	first, id := c.Servers[0], len(c.Servers)
	host, _, err := net.SplitHostPort(first.ClientAddr)
	if err != nil {
		panic(err) // New made it
	}
	var join []string
	for _, s := range c.Servers {
		join = append(join, joinAddr(host, logPort+s.ID))
	}
	dir := filepath.Dir(c.Config)
	s := &Server{
		ID:          id,
		ClientAddr:  joinAddr(host, clientPort+id),
		AdminAddr:   joinAddr(host, adminPort+id),
		DataDir:     filepath.Join(dir, "data", strconv.Itoa(id)),
		LogFile:     filepath.Join(dir, fmt.Sprintf("server%d.log", id)),
		executable:  first.executable,
		environment: first.environment,
	}
	if c.network != nil {
		s.hide(host)
		if err := c.network.pass(host, s); err != nil {
			panic(err) // the address is the cluster's own
		}
	}
	s.JoinAt(join, args...)
	c.adding.Lock()
	defer c.adding.Unlock()
	c.Servers = append(c.Servers, s)
	return s
}

// LogPort returns the port at which other servers reach this one.
func (s *Server) LogPort() int { return logPort + s.ID }

// JoinAt has the server ask at these log ports, host:port each, to come in, if it is
// started with an empty folder. It needs no server.json any more. args are more of its
// flags.
func (s *Server) JoinAt(addrs []string, args ...string) {
	s.args = append([]string{"-id", strconv.Itoa(s.ID), "-join", strings.Join(addrs, ","), "-data", s.DataDir, "-admin-listen", s.AdminAddr}, slices.Concat(s.hidden, args)...)
}

// Announcement returns the arguments of raftcachectl that announce a server of Add.
func (s *Server) Announcement() []string {
	host, port, err := net.SplitHostPort(s.ClientAddr)
	if err != nil {
		panic(err) // Add made it
	}
	return []string{"member", "add", strconv.Itoa(s.ID), "--host", host, "--port", port, "--log-port", strconv.Itoa(s.LogPort())}
}

// StartWith is Start with other flags, from now on.
func (s *Server) StartWith(args ...string) error {
	s.args = args
	return s.Start()
}
