package stats

import (
	"time"

	"raftcached/protocol"
)

// Encryption is what stats reports of TLS, if clients are served with it.
type Encryption struct {
	Chain, Key, CA string // files; CA may be empty
	VerifyMode     int    // memcached's: 0 to 3
	MinVersion     string // memcached's name of it

	Read   func() time.Time     // when the files were last read without an error
	Errors func() (h, p uint64) // connections that failed in their handshake, and later; set by the server
}

// addPlain adds what plain stats report.
func (e *Encryption) addPlain(l *protocol.StatList, now time.Time) {
	if e == nil {
		return
	}
	handshake, later := e.Errors()
	l.AddInt("ssl_handshake_errors", int64(handshake))
	l.AddInt("ssl_proto_errors", int64(later))
	l.AddInt("time_since_server_cert_refresh", max(0, int64(now.Sub(e.Read()).Seconds())))
}

// addSettings adds what stats settings reports. The size of a buffer for output is left
// out: there is none.
func (e *Encryption) addSettings(l *protocol.StatList) {
	if e == nil {
		return
	}
	l.Add("ssl_enabled", "yes")
	l.Add("ssl_chain_cert", e.Chain)
	l.Add("ssl_key", e.Key)
	l.AddInt("ssl_verify_mode", int64(opensslVerify(e.VerifyMode)))
	l.Add("ssl_keyformat", "1")
	l.Add("ssl_ciphers", "NULL")
	ca := e.CA
	if ca == "" {
		ca = "NULL"
	}
	l.Add("ssl_ca_cert", ca)
	l.Add("ssl_session_cache", "no")
	l.Add("ssl_kernel_tls", "no")
	l.Add("ssl_min_version", e.MinVersion)
}

// opensslVerify returns the number of OpenSSL that memcached makes of a mode, and shows:
// SSL_VERIFY_PEER is 1, SSL_VERIFY_FAIL_IF_NO_PEER_CERT 2, SSL_VERIFY_CLIENT_ONCE 4.
func opensslVerify(mode int) int {
	return [...]int{0, 1, 1 | 2, 1 | 2 | 4}[mode]
}
