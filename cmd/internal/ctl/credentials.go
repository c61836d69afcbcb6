package ctl

import (
	"cmp"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"

	"raftcached"
	"raftcached/internal/admin"
	"raftcached/internal/certificates"
	"raftcached/internal/certnames"
	"raftcached/internal/settings"
)

// The variables in which a shell may have what the flags of the operator's certificate
// name.
const (
	certVariable   = "RAFTCACHECTL_CERT"
	keyVariable    = "RAFTCACHECTL_KEY"
	cacertVariable = "RAFTCACHECTL_CACERT"
)

// operatorFile is the name of the operator's certificate and key, without .crt or .key,
// beside the authorities that a server.json names.
const operatorFile = "operator"

// newClient returns a client that knows the operator's certificate and the cluster's
// secret, as far as the command line or the server.json has them.
func (c *ctl) newClient() (*admin.Client, error) {
	client, err := c.newLooker()
	if err != nil {
		return nil, err
	}
	if c.secret != "" {
		client.Secret, err = settings.ReadSecret("", c.secret)
		return client, err
	}
	config := c.configFile()
	if config == "" {
		return client, nil
	}
	cluster, err := raftcached.ReadCluster(config)
	if err != nil {
		return nil, err
	}
	client.Secret, err = cluster.Secret()
	return client, err
}

// newLooker returns a client that changes nothing, and so needs no secret. The error is a
// usageError.
func (c *ctl) newLooker() (*admin.Client, error) {
	files, err := c.operatorFiles()
	if err != nil {
		return nil, usageError{err}
	}
	if files.Chain == "" {
		return new(admin.Client), nil
	}
	keys, err := certificates.Open(files)
	if err != nil {
		return nil, usageError{err}
	}
	cfg := keys.Client(certificates.ClientOptions{})
	certnames.VerifyServer(cfg)
	cfg.MinVersion = tls.VersionTLS12
	return &admin.Client{TLS: cfg, PlainLooks: c.peerTLSOptional()}, nil
}

// peerTLSOptional reports whether the server.json says that some servers may have no TLS yet.
func (c *ctl) peerTLSOptional() bool {
	config := c.configFile()
	if config == "" {
		return false
	}
	cluster, err := raftcached.ReadCluster(config)
	return err == nil && cluster.PeerTLSOptional()
}

// operatorFiles returns where the operator's certificate is, and whose servers' are
// believed; no Chain: there is none.
func (c *ctl) operatorFiles() (certificates.Files, error) {
	files := certificates.Files{
		Chain: cmp.Or(c.cert, c.Getenv(certVariable)), Key: cmp.Or(c.key, c.Getenv(keyVariable)), CA: cmp.Or(c.cacert, c.Getenv(cacertVariable)),
	}
	switch {
	case files.Chain != "" && files.CA != "":
		return files, nil
	case files.Chain != "":
		return files, errors.New("the certificate is named, and the authorities of the servers are not: name their file with --cacert")
	case files.Key != "" || files.CA != "":
		return files, errors.New("--key and --cacert are for the operator's certificate: name it with --cert")
	}
	config := c.configFile()
	if config == "" {
		return files, nil
	}
	cluster, err := raftcached.ReadCluster(config)
	if err != nil || cluster.PeerCAFile() == "" {
		return files, nil // whoever needs the server.json will say what is wrong with it
	}
	beside := filepath.Join(filepath.Dir(cluster.PeerCAFile()), operatorFile)
	if _, err := os.Stat(beside + ".key"); err != nil {
		return files, nil
	}
	return certificates.Files{Chain: beside + ".crt", Key: beside + ".key", CA: cluster.PeerCAFile()}, nil
}
