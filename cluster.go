package raftcached

import (
	"maps"
	"net"
	"slices"
	"strconv"

	"raftcached/internal/settings"
)

// Server is one member of a cluster, as server.json lists it.
type Server struct {
	ID         int    // the operator's number, 0 or more
	Host       string // name or address at which clients and peers reach it
	ClientPort int    // memcached protocol
	LogPort    int    // replication between the servers; 0 in single-node mode
	AdminPort  int    // for raftcachectl and probes; 0: none
	AdminHost  string // where AdminPort is open; empty: see AdminAddr
	Path       string // its data folder, if it is not the cluster's path and its id
}

// ClientAddr returns the host:port at which clients reach the server.
func (s Server) ClientAddr() string { return joinHostPort(s.Host, s.ClientPort) }

// PeerAddr returns the host:port at which the other servers reach it.
func (s Server) PeerAddr() string { return joinHostPort(s.Host, s.LogPort) }

// AdminAddr returns the host:port of its admin port, or nothing if it has none.
// Unless AdminHost says otherwise that is reached from its own machine only.
func (s Server) AdminAddr() string {
	host := s.AdminHost
	switch {
	case s.AdminPort == 0:
		return ""
	case host == "" && net.ParseIP(s.Host).IsLoopback():
		host = s.Host
	case host == "":
		host = "127.0.0.1"
	}
	return joinHostPort(host, s.AdminPort)
}

func joinHostPort(host string, port int) string {
	return net.JoinHostPort(host, strconv.Itoa(port))
}

// Cluster is what a server.json says: the servers, and the settings that hold
// for each of them.
type Cluster struct {
	File    string   // the name it was read from
	Servers []Server // in the order of ids

	file   *settings.File
	config Config // the settings; zero where the file is silent
}

// ReadCluster reads a server.json. Field names are case-insensitive. The error is
// a *ConfigError that names the file.
func ReadCluster(file string) (*Cluster, error) {
	c := &Cluster{File: file, config: Config{origins: settings.Origins{}}}
	var err error
	if c.file, err = settings.ReadFile(file, &c.config, c.config.origins); err != nil {
		return nil, err
	}
	for _, s := range c.file.Servers {
		c.Servers = append(c.Servers, Server(s))
	}
	return c, nil
}

// Secret returns what the servers of the cluster must know, which is in the file or in
// one that it names; nothing if there is none.
func (c *Cluster) Secret() ([]byte, error) {
	file := c.config.SecretFile
	if file != "" {
		file = c.file.Beside(file)
	}
	return settings.ReadSecret(c.config.Secret, file)
}

// PeerCAFile returns the file of the authorities that the servers believe, or nothing.
func (c *Cluster) PeerCAFile() string {
	if c.config.PeerCAFile == "" {
		return ""
	}
	return c.file.Beside(c.config.PeerCAFile)
}

// PeerTLSOptional reports whether servers without TLS are let in too: some may have none yet.
func (c *Cluster) PeerTLSOptional() bool { return c.config.PeerTLS == PeerTLSOptional }

// Config returns the configuration of one server of the cluster, without the
// defaults, which Open or Complete fill in.
func (c *Cluster) Config(id int) (Config, error) {
	for _, s := range c.Servers {
		if s.ID != id {
			continue
		}
		cfg := c.config
		cfg.origins = maps.Clone(c.config.origins)
		cfg.ServerID = id
		cfg.Servers = slices.Clone(c.Servers)
		cfg.DataDir = c.file.DataDir(settings.Server(s))
		for _, file := range []*string{
			&cfg.AuthFile, &cfg.TLSCert, &cfg.TLSKey, &cfg.TLSCA,
			&cfg.SecretFile, &cfg.PeerCertFile, &cfg.PeerKeyFile, &cfg.PeerCAFile,
		} {
			if *file != "" {
				*file = c.file.Beside(*file)
			}
		}
		cfg.ClientAddrs = []string{s.ClientAddr()}
		cfg.AdminAddr = s.AdminAddr()
		if s.LogPort != 0 {
			cfg.PeerAddr = s.PeerAddr()
		}
		return cfg, nil
	}
	return Config{}, settings.Errorf("config %q: server id %d is not listed: choose one of %s", c.File, id, settings.IDs(c.file.Servers))
}
