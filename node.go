package raftcached

import (
	"context"
	"net"

	"raftcached/internal/node"
)

// Node is one running server. Its methods may be called from any goroutine.
type Node struct{ inner *node.Node }

// Open starts a node and returns when it serves clients. A node of a cluster
// that was never formed waits, until ctx ends, for every server that is listed.
// A *ConfigError says what to change in the configuration, or with the data folder.
func Open(ctx context.Context, cfg Config) (*Node, error) {
	complete, err := cfg.Complete()
	if err == nil {
		var inner *node.Node
		if inner, err = node.Open(ctx, complete.assembly()); err == nil {
			return &Node{inner}, nil
		}
	}
	for _, l := range cfg.listeners() {
		_ = l.Close() // the node may have closed it
	}
	return nil, err
}

// Check is the result of one check of what a node needs.
type Check = node.Check

// Checks looks at what a node with this configuration would need: its ports, open
// files, the disk of its folder, the clock. It starts nothing, and may create the
// folder. The error is a *ConfigError.
func Checks(cfg Config) ([]Check, error) {
	complete, err := cfg.Complete()
	if err != nil {
		return nil, err
	}
	return node.Checks(complete.assembly()), nil
}

// listeners returns what the caller has opened for the node.
func (c *Config) listeners() []net.Listener {
	if c.PeerListener == nil {
		return c.ClientListeners
	}
	return append([]net.Listener{c.PeerListener}, c.ClientListeners...)
}

// ClientAddrs returns the addresses at which clients are served, in the order of
// Config.ClientAddrs. A port that was 0 there is the real one here.
func (n *Node) ClientAddrs() []net.Addr { return n.inner.ClientAddrs() }

// PeerAddr returns the host:port at which the other servers reach the node, or nothing
// if none need to.
func (n *Node) PeerAddr() string { return n.inner.PeerAddr() }

// Members returns the ids of the servers that belong to the cluster, ascending, as far as
// this node knows.
func (n *Node) Members() []int { return n.inner.ServerIDs() }

// Removed reports whether the node knows that its data folder does not belong to the
// cluster any more: it serves no clients, and stops once the others have confirmed that.
func (n *Node) Removed() bool { return n.inner.Removed() }

// Leader returns the id of the server that leads the cluster, as far as this node
// knows. It reports false while there is none.
func (n *Node) Leader() (serverID int, known bool) { return n.inner.Leader() }

// Reload reads again Config.AuthFile, TLSCert, TLSKey, TLSCA, PeerCertFile, PeerKeyFile and
// PeerCAFile, as far as they are set. What an error is about stays as it was, and keeps
// nothing else from being read. A client that has authenticated is
// not asked again, nor a connection of a server.
func (n *Node) Reload() error { return n.inner.Reload() }

// Alive returns nil when each event loop and the raft loop has had a turn since the call, or
// an error that says which has not when ctx ends. Whether there is a leader does not
// matter.
func (n *Node) Alive(ctx context.Context) error { return n.inner.Alive(ctx) }

// Done is closed when the node has stopped, by Close or by a failure.
func (n *Node) Done() <-chan struct{} { return n.inner.Done() }

// Err returns why the node stopped: nil while it runs and after Close, otherwise
// the failure, after which the process should end.
func (n *Node) Err() error { return n.inner.Err() }

// Close stops the node. It accepts no more clients, another server takes leadership
// over if this one has it, and requests that have arrived are answered, all as far as
// that is possible within seconds.
func (n *Node) Close() error { return n.inner.Close() }
