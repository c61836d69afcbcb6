package raftcachedtest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"testing"
	"time"

	"raftcached"
)

const (
	// startTimeout bounds how long Start waits for a cluster to serve.
	startTimeout = 2 * time.Minute

	// pollInterval is the pause between two looks at what is awaited.
	pollInterval = 2 * time.Millisecond

	// listenAttempts bounds how often the address of a cluster is chosen, or a port
	// is asked for again.
	listenAttempts = 50
)

// Cluster is a set of nodes, numbered 0, 1, 2 and so on, which are also their
// server ids. Its methods may be called from any goroutine, but one node is
// started and stopped by one goroutine at a time.
type Cluster struct {
	configs []raftcached.Config // without listeners

	mu    sync.Mutex
	nodes []*raftcached.Node // nil: stopped
}

// Start runs a cluster of n nodes until the test ends, and returns when all of
// them serve. Options change the configuration of each node before it is used.
func Start(tb testing.TB, n int, options ...func(*raftcached.Config)) *Cluster {
	tb.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	c, err := New(ctx, n, options...)
	if err != nil {
		tb.Fatalf("start a cluster of %d nodes: %v", n, err)
	}
	tb.Cleanup(func() {
		if err := c.Close(); err != nil {
			tb.Errorf("close the cluster: %v", err)
		}
	})
	return c
}

// New is Start without a test: the caller closes the cluster. ctx bounds how long
// it may take until all nodes serve.
func New(ctx context.Context, n int, options ...func(*raftcached.Config)) (*Cluster, error) {
	c := &Cluster{nodes: make([]*raftcached.Node, n)}
	clients, peers, err := listenAll(n)
	if err != nil {
		return nil, err
	}
	var servers []raftcached.Server
	for i := range n {
		servers = append(servers, raftcached.Server{
			ID: i, Host: clients[i].Addr().(*net.TCPAddr).IP.String(),
			ClientPort: clients[i].Addr().(*net.TCPAddr).Port, LogPort: peers[i].Addr().(*net.TCPAddr).Port,
		})
	}
	disk := raftcached.NewMemoryDisk()
	for i := range n {
		cfg := raftcached.Config{
			ServerID: i, Servers: servers, MemoryDisk: disk, DataDir: strconv.Itoa(i), Threads: 1,
			ClientAddrs: []string{servers[i].ClientAddr()}, PeerAddr: servers[i].PeerAddr(),
		}
		for _, change := range options {
			change(&cfg)
		}
		c.configs = append(c.configs, cfg)
	}
	var opened sync.WaitGroup
	errs := make([]error, n)
	for i := range n { // together: a cluster forms when all have met
		opened.Go(func() { errs[i] = c.open(ctx, i, clients[i], peers[i]) })
	}
	opened.Wait()
	err = errors.Join(errs...)
	if err == nil {
		err = c.WaitReady(ctx)
	}
	if err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// listenAll opens two listeners for each of n nodes, at one loopback address.
func listenAll(n int) (clients, peers []net.Listener, err error) {
	host := fmt.Sprintf("127.%d.%d.%d", 1+rand.IntN(254), rand.IntN(256), 1+rand.IntN(254))
	var all []net.Listener
	for range 2 * n {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			for _, l := range all {
				_ = l.Close() // nothing has used it
			}
			return nil, nil, err
		}
		all = append(all, l)
	}
	return all[:n], all[n:], nil
}

// listen opens a port again. Connections that were accepted there may take a
// moment to be gone.
func listen(ctx context.Context, addr string) (net.Listener, error) {
	for attempt := 1; ; attempt++ {
		l, err := net.Listen("tcp", addr)
		if !errors.Is(err, syscall.EADDRINUSE) || attempt == listenAttempts {
			return l, err
		}
		if err := pause(ctx); err != nil {
			return nil, err
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-time.After(pollInterval):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// open opens a node, which takes over the listeners.
func (c *Cluster) open(ctx context.Context, i int, clients, peers net.Listener) error {
	cfg := c.configs[i]
	cfg.ClientListeners, cfg.PeerListener = []net.Listener{clients}, peers
	node, err := raftcached.Open(ctx, cfg)
	if err != nil {
		return fmt.Errorf("open node %d: %w", i, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nodes[i] = node
	return nil
}

// Node returns a node, or nil while it is stopped.
func (c *Cluster) Node(i int) *raftcached.Node {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nodes[i]
}

// Addr returns the host:port at which clients reach a node, also while it is
// stopped.
func (c *Cluster) Addr(i int) string { return c.configs[i].ClientAddrs[0] }

// Addrs returns the addresses of all nodes.
func (c *Cluster) Addrs() []string {
	addrs := make([]string, len(c.configs))
	for i := range addrs {
		addrs[i] = c.Addr(i)
	}
	return addrs
}

// Stop stops a node in order. Its files stay for Restart. A node that is stopped
// is left alone.
func (c *Cluster) Stop(i int) error {
	c.mu.Lock()
	node := c.nodes[i]
	c.nodes[i] = nil
	c.mu.Unlock()
	if node == nil {
		return nil
	}
	return node.Close()
}

// Restart starts a node that was stopped, with the files and at the address that it
// had. It returns when the node serves; WaitReady tells when it knows a leader.
func (c *Cluster) Restart(ctx context.Context, i int) error {
	if c.Node(i) != nil {
		return fmt.Errorf("restart node %d: it runs", i)
	}
	clients, err := listen(ctx, c.Addr(i))
	if err != nil {
		return fmt.Errorf("restart node %d: %w", i, err)
	}
	peers, err := listen(ctx, c.configs[i].PeerAddr)
	if err != nil {
		return errors.Join(fmt.Errorf("restart node %d: %w", i, err), clients.Close())
	}
	return c.open(ctx, i, clients, peers)
}

// Leader waits until a node that runs leads and all that run know it, and returns
// its number.
func (c *Cluster) Leader(ctx context.Context) (int, error) {
	for {
		if leader, agreed := c.agreedLeader(); agreed {
			return leader, nil
		}
		if err := pause(ctx); err != nil {
			return 0, fmt.Errorf("wait for a leader: %w", err)
		}
	}
}

// agreedLeader returns the leader of all nodes that run.
func (c *Cluster) agreedLeader() (leader int, agreed bool) {
	c.mu.Lock()
	nodes := slices.Clone(c.nodes)
	c.mu.Unlock()
	leader = -1
	for _, node := range nodes {
		if node == nil {
			continue
		}
		id, known := node.Leader()
		if !known || leader >= 0 && id != leader {
			return 0, false
		}
		leader = id
	}
	return leader, leader >= 0 && nodes[leader] != nil
}

// WaitReady waits until all nodes that run agree on a leader and have applied all
// that was acknowledged before the call.
func (c *Cluster) WaitReady(ctx context.Context) error {
	if _, err := c.Leader(ctx); err != nil {
		return err
	}
	for i := range c.configs {
		if node := c.Node(i); node != nil {
			if err := waitCaughtUp(ctx, node); err != nil {
				return fmt.Errorf("wait for node %d: %w", i, err)
			}
		}
	}
	return nil
}

// waitCaughtUp waits until a node answers a read.
func waitCaughtUp(ctx context.Context, node *raftcached.Node) error {
	for {
		_, err := node.Client().Get(ctx, "raftcachedtest")
		if err == nil || errors.Is(err, raftcached.ErrCacheMiss) || ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, raftcached.ErrClosed) {
			return err
		}
		if err := pause(ctx); err != nil {
			return err
		}
	}
}

// Client returns a client of a node that runs. It ends when the node is stopped.
func (c *Cluster) Client(i int) *raftcached.Client { return c.Node(i).Client() }

// Close stops all nodes.
func (c *Cluster) Close() error {
	var errs []error
	for i := range c.configs {
		errs = append(errs, c.Stop(i))
	}
	return errors.Join(errs...)
}
