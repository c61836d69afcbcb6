// Package certificates holds the certificate by which a server proves who it is, its
// key, and the authorities whose certificates it believes, from files that can be read
// again.
//
// Read first: Files (what is read), Keyring (what is held), then Server and Client,
// which make configurations of crypto/tls.
//
// Any goroutine may use a Keyring. Reloading it makes no handshake wait, and changes no
// connection that is already there.
//
// # The files
//
// All are PEM, and at most fileBytesMax long:
//
//	Chain   CERTIFICATE blocks: the server's own, then those that lead to the authority
//	Key     one block: PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY, not encrypted
//	CA      CERTIFICATE blocks: the authorities
//
// # What is safe here
//
// TLS 1.2 and 1.3 with the cipher suites that Go chooses. There is no renegotiation, and
// sessions are not resumed: each connection shows its certificates anew, so what an
// operator replaces counts for every connection that begins after it. Authorities are
// those of the CA file alone: never those of the system, which a stranger could get a
// certificate from.
package certificates
