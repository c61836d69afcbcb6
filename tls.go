package raftcached

import (
	"slices"
	"strings"

	"raftcached/internal/node"
	"raftcached/internal/settings"
)

// tlsFields are the fields of Config that mean nothing without its TLS.
var tlsFields = []string{"TLSCert", "TLSKey", "TLSCA", "TLSVerify"}

// checkTLS reports what is wrong with the settings of TLS. What is wrong with the files
// is found out by Open.
func (c *Config) checkTLS() error {
	if !c.TLS {
		given := map[string]bool{"TLSCert": c.TLSCert != "", "TLSKey": c.TLSKey != "", "TLSCA": c.TLSCA != "", "TLSVerify": c.TLSVerify > 0}
		for _, field := range tlsFields {
			if given[field] {
				return settings.Errorf("%s is given, and clients are served without TLS: add -Z, or %s", c.origins.Name(c, field), `"tls": true`)
			}
		}
		if len(c.PlainAddrs) > 0 {
			return settings.Errorf("PlainAddrs are addresses without TLS, and there is no TLS: leave them out, or set TLS")
		}
		return nil
	}
	name := c.origins.Name(c, "TLS")
	switch {
	case c.TLSCert == "":
		return settings.Errorf("%s needs the server's certificate: name its file with --tls-cert", name)
	case c.TLSVerify > 0 && c.TLSCA == "":
		return settings.Errorf("%s is %d, and nothing says whose certificates to believe: name the file of the authorities with --tls-ca", c.origins.Name(c, "TLSVerify"), c.TLSVerify)
	case len(c.PlainAddrs) > 0 && len(c.ClientListeners) > 0:
		return settings.Errorf("PlainAddrs cannot be used together with ClientListeners: leave one out")
	}
	for _, addr := range c.PlainAddrs {
		if err := settings.CheckAddr("PlainAddrs", addr); err != nil {
			return err
		}
	}
	return nil
}

// encryption returns what the node needs to know of TLS; nil if there is none.
func (c *Config) encryption() *node.Encryption {
	if !c.TLS {
		return nil
	}
	return &node.Encryption{
		Chain: c.TLSCert, Key: c.TLSKey, CA: c.TLSCA, VerifyMode: c.TLSVerify, MinVersion: c.TLSMinVersion, Plain: len(c.PlainAddrs),
	}
}

// setClientAddrs takes the addresses of -l: those with notls: are served without TLS.
func (c *Config) setClientAddrs(addrs []string, line *settings.Line) error {
	if addrs == nil {
		return nil
	}
	c.ClientAddrs, c.PlainAddrs = nil, nil
	for _, addr := range addrs {
		plain, without := strings.CutPrefix(addr, settings.NoTLS)
		if !without {
			c.ClientAddrs = append(c.ClientAddrs, addr)
			continue
		}
		if !c.TLS {
			return line.Errorf("Listen", "%s has %q, and there is no TLS: leave notls out, or add -Z", line.Given("Listen"), addr)
		}
		c.PlainAddrs = append(c.PlainAddrs, plain)
	}
	if len(c.ClientAddrs) == 0 {
		return line.Errorf("Listen", "%s has no address for TLS: leave -Z out, or notls at one of them", line.Given("Listen"))
	}
	return nil
}

// listen returns all addresses at which clients are served, those without TLS last.
func (c *Config) listen() []string { return slices.Concat(c.ClientAddrs, c.PlainAddrs) }
