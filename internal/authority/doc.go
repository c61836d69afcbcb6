// Package authority makes certificates for a trial, or for a cluster that has no issuer of
// its own: an authority, and what it signs for servers, clients and the operator. It writes
// files that the settings of servers name.
//
// Read first: Create.
//
//	ca.crt, ca.key               the authority; who has its key can be any server
//	server-N.crt, server-N.key   of the server N, which dials and is dialed
//	client.crt, client.key       of clients
//	operator.crt, operator.key   of raftcachectl
//
// All are PEM and readable by their owner alone. Keys are of P-256. Whom certificates name
// is in package certnames; those of servers also name their hosts and this machine, for
// programs that look for those.
//
// One goroutine at a time may work on a folder.
package authority
