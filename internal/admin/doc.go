// Package admin is the admin port of a server: HTTP for probes, for raftcachectl
// and for whatever else watches or operates a cluster. It holds both ends: Server,
// which a node runs, and Client, which a tool uses.
//
// Read first: Status, which both ends speak of; Node, which the assembled node
// implements; then Server and Client.
//
//	GET /livez    200 while the process runs
//	GET /readyz   200 if the server serves clients, or 503 and one sentence that says why not;
//	              with ?vote also 503 as long as it has not the vote that it is to get
//	GET /status   Status as JSON; with ?figures also Figures
//	GET /         the page, and what it asks for: see internal/page
//	GET /members  MemberList as JSON
//	GET /metrics  for Prometheus, see internal/metrics
//	POST /members/add, replace, remove, promote, move, transfer, leases
//	              MemberRequest as JSON; the answer is the MemberList after it
//	POST /backup  a backup of the cluster, as internal/backup draws it
//	POST /restore RestoreStep as JSON; the answer says how many chunks there are
//
// Whatever changes something, or gives out items, is a POST with a body of JSON, from this machine
// or with a proof of the cluster's secret (proof.go). A page in a browser on this machine cannot send that: see guard.
//
// A port in TLS asks for certificates instead: probes need none, a look needs one that the
// cluster's authorities have signed, and all else the operator's (package certnames).
//
// ListenForProbes opens a port that has the first two of these alone, and no TLS.
//
// An answer that is not 200 is one sentence. With a code below 500 it would not help to
// ask for the same again, with 503 it may.
//
// All methods may be called from any goroutine.
package admin
