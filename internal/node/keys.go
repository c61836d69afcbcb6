package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"raftcached/internal/admin"
	"raftcached/internal/certificates"
	"raftcached/internal/certnames"
	"raftcached/internal/settings"
	"raftcached/replication/peer"
)

// openKeys reads the certificate by which the other servers know this one.
func (n *Node) openKeys() error {
	if n.cfg.PeerFiles.Chain == "" {
		return nil
	}
	if err := n.reloadKeys(); err != nil {
		return settings.Errorf("%v", err)
	}
	return nil
}

// reloadKeys reads it, and whose certificates are believed, again, if there are any.
// After an error those of before stay.
func (n *Node) reloadKeys() error {
	if n.cfg.PeerFiles.Chain == "" {
		return nil
	}
	keys, err := n.cfg.readKeys()
	if err != nil {
		return err
	}
	n.keys.Store(keys)
	n.cfg.Logger.Info("TLS between servers", "certificate", keys.String())
	if keys.ExpiresSoon() {
		n.cfg.Logger.Warn(fmt.Sprintf("the certificate in %q expires in %d days: other servers refuse this one then; replace the file, and send SIGHUP",
			keys.Files().Chain, int(time.Until(keys.Expires()).Hours())/24))
	}
	n.warnOfAuthority(keys, keys.Authority())
	return nil
}

// readKeys reads a certificate that the other servers do not refuse.
func (c *Config) readKeys() (*certificates.Keyring, error) {
	keys, err := certificates.Open(c.PeerFiles)
	if err == nil {
		err = c.checkKeys(keys)
	}
	if err != nil {
		return nil, fmt.Errorf("TLS between servers: %w", err)
	}
	return keys, nil
}

// checkPeerFiles checks the files that readKeys reads.
func (c *Config) checkPeerFiles() Check {
	keys, err := c.readKeys()
	if err != nil {
		return Check{Configuration: true, Text: err.Error()}
	}
	if keys.ExpiresSoon() {
		return Check{Configuration: true, Text: "certificate between servers " + keys.String() + ": replace its file before that"}
	}
	if a := keys.Authority(); a.ExpiresSoon {
		return checkOfAuthority(keys, a)
	}
	return Check{OK: true, Text: "TLS between servers: " + keys.String()}
}

// checkKeys reports what the other servers would refuse a certificate for.
func (c *Config) checkKeys(keys *certificates.Keyring) error {
	held := keys.Client(certificates.ClientOptions{})
	chain := held.Certificates[0]
	if name := certnames.Server(c.ServerID); !certnames.Has(chain.Leaf, name) {
		return fmt.Errorf("certificate file %q names %s, and not %s, which is this server's name: have it among the DNS names of its certificate",
			keys.Files().Chain, certnames.Text(chain.Leaf), name)
	}
	between := x509.NewCertPool()
	for _, der := range chain.Certificate[1:] {
		if cert, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(cert)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		o := x509.VerifyOptions{Roots: held.RootCAs, Intermediates: between, KeyUsages: []x509.ExtKeyUsage{usage}}
		if _, err := chain.Leaf.Verify(o); err != nil {
			return fmt.Errorf("the certificate in file %q would be refused by the authorities in file %q, as a server's that dials and is dialed (extended key usages serverAuth and clientAuth): %w",
				keys.Files().Chain, keys.Files().CA, err)
		}
	}
	return nil
}

// peerTLS is how the node speaks TLS with its peers; nil: it does not. It is the same one for the
// life of the process, as it remembers who has spoken TLS. The goroutine that starts the node
// calls it.
func (n *Node) peerTLS() *peer.TLS {
	if n.keys.Load() == nil {
		return nil
	}
	if n.peers != nil {
		return n.peers
	}
	n.peers = &peer.TLS{
		Server: func(verify func(tls.ConnectionState) error) *tls.Config {
			return n.keys.Load().Server(certificates.ServerOptions{Clients: certificates.Needed, MinVersion: tls.VersionTLS13, Verify: verify})
		},
		Client: func(name string) *tls.Config {
			return n.keys.Load().Client(certificates.ClientOptions{ServerName: name})
		},
		Shaken:   &n.secured.log,
		Optional: n.cfg.PeerTLSOptional,
		Fault:    func() error { return n.cfg.checkKeys(n.keys.Load()) },
	}
	return n.peers
}

// warnOfLogPort warns if whoever reaches the log port is taken for a server.
func (n *Node) warnOfLogPort() {
	secret := len(n.secret) > 0 && !n.cfg.SecretOptional
	certificates := n.keys.Load() != nil && !n.cfg.PeerTLSOptional
	switch {
	case secret || certificates:
	case len(n.secret) > 0 || n.keys.Load() != nil:
		n.cfg.Logger.Warn("whoever reaches the log port is taken for a server as long as secretOptional or \"peerTLS\": \"optional\" is set: leave it out once all servers have the secret, or certificates")
	default:
		n.cfg.Logger.Warn("whoever reaches the log port is taken for a server: let only the servers reach it, or give all of them the same secret, or certificates")
	}
}

// adminConfig is how the admin port is opened: in TLS, if there are certificates and other
// machines may reach it.
func (n *Node) adminConfig() admin.Config {
	c := admin.Config{Addr: n.cfg.AdminAddr, Secret: n.secret, Handshakes: n.handshakes.Port(), Logger: n.cfg.Logger}
	switch {
	case admin.OnLoopback(c.Addr):
	case n.keys.Load() != nil:
		c.Shaken = &n.secured.admin
		c.TLS = &tls.Config{
			MinVersion: tls.VersionTLS12,
			GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) {
				return n.keys.Load().Server(certificates.ServerOptions{Clients: certificates.Wanted}).GetConfigForClient(hello)
			},
		}
	default:
		c.Logger.Warn(fmt.Sprintf("the admin port at %s is open to other machines, without TLS: whoever reaches it sees the cluster, and what changes it crosses the network in the clear: give the servers certificates (peerCertFile), or firewall it", c.Addr))
	}
	return c
}
