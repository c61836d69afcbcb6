package node

import (
	"crypto/tls"
	"fmt"
	"time"

	"raftcached/internal/certificates"
	"raftcached/internal/settings"
	"raftcached/protocol/server"
	"raftcached/protocol/server/stats"
)

// Encryption is how clients are served with TLS.
type Encryption struct {
	Chain, Key, CA string // files, as those of certificates.Files
	VerifyMode     int    // memcached's: certificates of clients are 0 not wanted, 1 wanted, 2 or 3 needed
	MinVersion     int    // memcached's: 2 is TLS 1.2, 3 is TLS 1.3
	Plain          int    // how many of the addresses for clients, the last ones, are without TLS
}

// demands are what ssl_verify_mode says. OpenSSL's SSL_VERIFY_CLIENT_ONCE is about
// renegotiation, which there is none of: 3 is 2.
var demands = [...]certificates.Demand{certificates.NotWanted, certificates.Wanted, certificates.Needed, certificates.Needed}

// minVersions are what ssl_min_version says, and memcached's names of them.
var minVersions = map[int]struct {
	version uint16
	name    string
}{2: {tls.VersionTLS12, "tlsv1.2"}, 3: {tls.VersionTLS13, "tlsv1.3"}}

// openKeyring reads the files. What is wrong with them is an error of the configuration.
func (e *Encryption) openKeyring() (*certificates.Keyring, error) {
	keyring, err := certificates.Open(certificates.Files{Chain: e.Chain, Key: e.Key, CA: e.CA})
	if err == nil {
		err = keyring.CheckDemand(demands[e.VerifyMode])
	}
	if err != nil {
		return nil, settings.Errorf("TLS for clients: %v", err)
	}
	return keyring, nil
}

// startEncryption reads the certificates, if there is TLS.
func (n *Node) startEncryption() (err error) {
	if n.cfg.Encryption == nil {
		return nil
	}
	if n.keyring, err = n.cfg.Encryption.openKeyring(); err == nil {
		n.logCertificate("clients are served with TLS")
	}
	return err
}

// logCertificate says which certificate is used from now on.
func (n *Node) logCertificate(what string) {
	n.cfg.Logger.Info(what, "certificate", n.keyring.String())
	if n.keyring.ExpiresSoon() {
		n.cfg.Logger.Warn("the certificate for clients expires soon: replace its file, and send SIGHUP",
			"file", n.keyring.Files().Chain, "expires", n.keyring.Expires().UTC().Format(time.RFC3339))
	}
	n.warnOfAuthority(n.keyring, n.cfg.Encryption.believed(n.keyring))
}

// believed returns the first to expire of the authorities that certificates of clients need;
// zero if they need none.
func (e *Encryption) believed(k *certificates.Keyring) certificates.Authority {
	if demands[e.VerifyMode] == certificates.NotWanted {
		return certificates.Authority{}
	}
	return k.Authority()
}

// warnOfAuthority warns if an authority expires soon, of which others have certificates.
func (n *Node) warnOfAuthority(k *certificates.Keyring, believed certificates.Authority) {
	if believed.ExpiresSoon {
		n.cfg.Logger.Warn("an authority expires soon: put its successor into the file beside it, replace the certificates that it has signed, take it out, and send SIGHUP after each",
			"file", k.Files().CA, "authority", believed.Name, "expires", believed.Expires.UTC().Format(time.RFC3339))
	}
}

// reloadCertificates reads the certificates again. After an error the previous ones stay.
// Any goroutine may call it, and it may take as long as the disk.
func (n *Node) reloadCertificates() error {
	n.reloading.Lock() // what was read last counts
	defer n.reloading.Unlock()
	err := n.keyring.Reload()
	n.secured.clients.count(err)
	return err
}

// refreshCertificates is reloadCertificates for a client, whose operator reads the log, and
// which may send refresh_certs as often as it likes.
func (n *Node) refreshCertificates() error {
	err := n.reloadCertificates()
	outcome := ""
	if err != nil {
		outcome = err.Error()
	}
	switch _, tell := n.refreshes.Tell(outcome+n.keyring.String(), time.Now()); {
	case !tell:
	case err != nil:
		n.cfg.Logger.Error("refresh_certs: the previous certificates stay", "error", err)
	default:
		n.logCertificate("read the certificates for clients again")
	}
	return err
}

// serverEncryption is the server's part of the configuration; nil without TLS.
func (n *Node) serverEncryption() *server.Encryption {
	e := n.cfg.Encryption
	if e == nil {
		return nil
	}
	files, least := n.keyring.Files(), minVersions[e.MinVersion]
	return &server.Encryption{
		Config: n.keyring.Server(certificates.ServerOptions{Clients: demands[e.VerifyMode], MinVersion: least.version}),
		Plain:  e.Plain, Handshakes: n.handshakes.Port(),
		Reload: n.refreshCertificates,
		Settings: stats.Encryption{
			Chain: files.Chain, Key: files.Key, CA: files.CA, VerifyMode: e.VerifyMode, MinVersion: least.name, Read: n.keyring.Read,
		},
	}
}

// checkOfAuthority is the check that finds an authority that expires soon.
func checkOfAuthority(k *certificates.Keyring, a certificates.Authority) Check {
	return Check{Configuration: true, Text: fmt.Sprintf("authority %s in file %q expires at %s: replace it before that", a.Name, k.Files().CA, a.Expires.UTC().Format(time.RFC3339))}
}

// checkCertificates checks the files of TLS.
func (c *Config) checkCertificates() Check {
	keyring, err := c.Encryption.openKeyring()
	if err != nil {
		return Check{Configuration: true, Text: err.Error()}
	}
	if keyring.ExpiresSoon() {
		return Check{Configuration: true, Text: "certificate for clients " + keyring.String() + ": replace its file before that"}
	}
	if a := c.Encryption.believed(keyring); a.ExpiresSoon {
		return checkOfAuthority(keyring, a)
	}
	return Check{OK: true, Text: "certificate for clients " + keyring.String()}
}
