// Package certnames is whom certificates name in a cluster: its servers, its operator and
// its clients. The log port and the admin port decide by these names.
//
// Read first: Server, then CheckServer and VerifyServer.
//
//	server-N.raftcached    the server with the id N
//	operator.raftcached    who may change the cluster through the admin port
//	client.raftcached      a client; no port asks for this name
//
// They are DNS names, which every issuer of certificates can sign, in a domain that does
// not exist. A certificate may have several, and others beside them. Patterns like
// *.raftcached name nobody. Which server it is depends on no address: servers move, and
// several share a machine.
//
// All functions may be called from any goroutine.
package certnames
