package raftcached

import (
	"strconv"
	"strings"

	"raftcached/internal/settings"
)

// PeerTLS says whether the other servers must use TLS, if this one has a certificate.
type PeerTLS string

// The values of PeerTLS.
const (
	PeerTLSRequired PeerTLS = "required"
	PeerTLSOptional PeerTLS = "optional" // who has none is let in: a cluster that runs gets it server by server
)

// checkPeerTLS checks that settings of TLS between servers, and of the secret, go together.
func (c *Config) checkPeerTLS() error {
	name := func(field string) string { return c.origins.Name(c, field) }
	switch {
	case c.PeerCertFile != "" && c.PeerCAFile == "":
		return settings.Errorf("\"peerCertFile\" (--peer-cert) is set, and \"peerCAFile\" (--peer-ca) is not: it names the authorities that sign the servers' certificates")
	case c.PeerCertFile == "" && c.PeerCAFile != "":
		return settings.Errorf("\"peerCAFile\" (--peer-ca) is set, and \"peerCertFile\" (--peer-cert) is not: it names this server's certificate")
	case c.PeerCertFile == "" && c.PeerKeyFile != "":
		return settings.Errorf("\"peerKeyFile\" (--peer-key) is set, and \"peerCertFile\" (--peer-cert) is not: it names this server's certificate")
	case c.PeerCertFile == "" && c.PeerTLS == PeerTLSOptional:
		return settings.Errorf("%s is optional, and there is no certificate: name one (\"peerCertFile\", --peer-cert), or leave it out", name("PeerTLS"))
	case c.SecretOptional && c.Secret == "" && c.SecretFile == "":
		return settings.Errorf("%s is set, and there is no secret: name one (\"secretFile\", --secret-file), or leave it out", name("SecretOptional"))
	}
	return nil
}

// ofServer returns the name of a file in which {id} stands for the server.
func (c *Config) ofServer(file string) string {
	return strings.ReplaceAll(file, "{id}", strconv.Itoa(c.ServerID))
}
