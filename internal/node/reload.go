package node

import (
	"errors"
	"fmt"
)

// Reload reads the files of users, and of the certificates for clients and for peers,
// again, as far as there are any. Each is read on its own: what cannot be read stays as it
// was, and keeps nothing else from being read. Clients that have authenticated stay
// authenticated, and connections of clients and peers as they are encrypted.
func (n *Node) Reload() error {
	var users, clients, peers error
	if n.users != nil {
		if err := n.users.Reload(); err != nil {
			users = fmt.Errorf("reload the users: the previous ones stay: %w", err)
		}
	}
	if n.keyring != nil {
		if err := n.reloadCertificates(); err != nil {
			clients = fmt.Errorf("reload the certificates for clients: the previous ones stay: %w", err)
		} else {
			n.logCertificate("read the certificates for clients again")
		}
	}
	if n.cfg.PeerFiles.Chain != "" {
		err := n.reloadKeys()
		n.secured.servers.count(err)
		if err != nil {
			peers = fmt.Errorf("reload the certificates for peers: the previous ones stay: %w", err)
		}
	}
	return errors.Join(users, clients, peers)
}
