package node

import (
	"sync/atomic"

	"raftcached/internal/admin"
	"raftcached/internal/certificates"
	"raftcached/internal/handshake"
	"raftcached/internal/metrics"
	"raftcached/protocol"
)

// secured is what a node counts of TLS, but for the handshakes of clients, which its server
// counts. Any goroutine may use it.
type secured struct {
	log, admin       handshake.Counter // at these ports
	clients, servers reloads           // of the files for clients, and of those for the log and the admin port
}

// reloads counts how often certificates were read again.
type reloads struct{ done, failed atomic.Uint64 }

func (r *reloads) count(err error) {
	if err != nil {
		r.failed.Add(1)
		return
	}
	r.done.Add(1)
}

// portsInTLS returns the ports that are in TLS, and what is known of it. Any goroutine may
// call it, at any stage of the start.
func (n *Node) portsInTLS() (ports []metrics.Port) {
	add := func(name string, k *certificates.Keyring, believed certificates.Authority, shaken handshake.Tally, r *reloads) {
		ports = append(ports, metrics.Port{
			Name: name, NotAfter: k.Expires(), ExpiresSoon: k.ExpiresSoon(), AuthorityNotAfter: believed.Expires, AuthorityExpiresSoon: believed.ExpiresSoon,
			Handshakes: shaken, Reloads: r.done.Load(), ReloadsFailed: r.failed.Load(),
		})
	}
	stage := n.life.stage.Load()
	if stage >= stageServing && n.keyring != nil {
		add("client", n.keyring, n.cfg.Encryption.believed(n.keyring), n.front.Handshakes(), &n.secured.clients)
	}
	if keys := n.keys.Load(); keys != nil {
		if stage >= stageReading && n.transport != nil {
			add("log", keys, keys.Authority(), n.secured.log.Tally(), &n.secured.servers)
		}
		if n.cfg.AdminAddr != "" && !admin.OnLoopback(n.cfg.AdminAddr) {
			add("admin", keys, keys.Authority(), n.secured.admin.Tally(), &n.secured.servers)
		}
	}
	return ports
}

// tlsStats answers stats tls.
func (n *Node) tlsStats() (l protocol.StatList) {
	for _, p := range n.portsInTLS() {
		l.AddInt(p.Name+":handshakes", int64(p.Handshakes.Done))
		for reason, failed := range p.Handshakes.Failed {
			l.AddInt(p.Name+":failed_"+handshake.Reason(reason).String(), int64(failed))
		}
		l.AddInt(p.Name+":certificate_not_after", p.NotAfter.Unix())
		if !p.AuthorityNotAfter.IsZero() {
			l.AddInt(p.Name+":authority_not_after", p.AuthorityNotAfter.Unix())
		}
		l.AddInt(p.Name+":reloads", int64(p.Reloads))
		l.AddInt(p.Name+":reloads_failed", int64(p.ReloadsFailed))
	}
	return l
}

// tlsStatus is the same for the admin port. Reasons that there were not are left out.
func (n *Node) tlsStatus() (ports []admin.PortTLS) {
	for _, p := range n.portsInTLS() {
		told := admin.PortTLS{
			Port: p.Name, NotAfter: p.NotAfter, ExpiresSoon: p.ExpiresSoon, AuthorityNotAfter: p.AuthorityNotAfter, AuthorityExpiresSoon: p.AuthorityExpiresSoon,
			Handshakes: p.Handshakes.Done, Failed: map[string]uint64{},
			Reloads: p.Reloads, ReloadsFailed: p.ReloadsFailed,
		}
		for reason, failed := range p.Handshakes.Failed {
			if failed > 0 {
				told.Failed[handshake.Reason(reason).String()] = failed
			}
		}
		ports = append(ports, told)
	}
	return ports
}
