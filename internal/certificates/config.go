package certificates

import (
	"crypto/tls"
	"errors"
)

// Demand is what a server wants of the certificates of its clients.
type Demand uint8

// The demands.
const (
	// NotWanted asks for no certificate.
	NotWanted Demand = iota

	// Wanted asks for one. A client may have none; one that an authority of the CA
	// file has not signed is refused.
	Wanted

	// Needed refuses a client without a certificate that an authority of the CA file
	// has signed.
	Needed
)

// ServerOptions are a server's part of a configuration.
type ServerOptions struct {
	Clients Demand

	// MinVersion is tls.VersionTLS12 (also if it is 0) or tls.VersionTLS13.
	MinVersion uint16

	// Verify, if it is set, decides about each connection whose certificates are
	// believed. An error ends the handshake.
	Verify func(tls.ConnectionState) error
}

// Server returns the configuration of a server. Each handshake uses what the Keyring
// holds when it begins.
func (k *Keyring) Server(o ServerOptions) *tls.Config {
	return &tls.Config{
		MinVersion: max(o.MinVersion, tls.VersionTLS12),
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
			return k.serverNow(o), nil
		},
	}
}

// serverNow returns the configuration for one handshake.
func (k *Keyring) serverNow(o ServerOptions) *tls.Config {
	held := k.current.Load()
	c := &tls.Config{
		MinVersion:             max(o.MinVersion, tls.VersionTLS12),
		Certificates:           []tls.Certificate{held.certificate},
		SessionTicketsDisabled: true,
		Time:                   k.now,

		// Small records are for who shows a page before it is whole. Nobody reads half an
		// answer.
		DynamicRecordSizingDisabled: true,

		VerifyConnection: o.Verify,
	}
	switch o.Clients {
	case NotWanted:
	case Wanted:
		c.ClientAuth, c.ClientCAs = tls.VerifyClientCertIfGiven, held.authorities
	case Needed:
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, held.authorities
	}
	return c
}

// ClientOptions are a client's part of a configuration.
type ClientOptions struct {
	// ServerName is the host that the server's certificate must name.
	ServerName string

	// Verify, if it is set, decides about a connection whose certificates are
	// believed. An error ends the handshake.
	Verify func(tls.ConnectionState) error
}

// Client returns the configuration of a client that shows the certificate to servers,
// and believes the authorities of the CA file. It is that of one connection: the next
// one asks again, and so gets what was reloaded.
func (k *Keyring) Client(o ClientOptions) *tls.Config {
	held := k.current.Load()
	return &tls.Config{
		MinVersion:             tls.VersionTLS12,
		ServerName:             o.ServerName,
		RootCAs:                held.authorities,
		Certificates:           []tls.Certificate{held.certificate},
		SessionTicketsDisabled: true,
		Time:                   k.now,
		VerifyConnection:       o.Verify,

		DynamicRecordSizingDisabled: true, // as a server does
	}
}

// CheckDemand reports a demand that nobody could meet: certificates can be checked only
// with a CA file.
func (k *Keyring) CheckDemand(d Demand) error {
	if d != NotWanted && k.files.CA == "" {
		return errors.New("certificates of clients are to be checked, and no CA file says whose to believe")
	}
	return nil
}
