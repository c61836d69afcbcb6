package authority

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// fileMode is for certificates too: who reads them learns what is where.
const fileMode = 0o600

// writePair writes a certificate and its key to files that are not there.
func writePair(dir, file string, certificate []byte, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	keyName := filepath.Join(dir, file+".key")
	if err := writeNew(keyName, &pem.Block{Type: "PRIVATE KEY", Bytes: der}); err != nil {
		return err
	}
	if err := writeNew(filepath.Join(dir, file+".crt"), &pem.Block{Type: "CERTIFICATE", Bytes: certificate}); err != nil {
		return errors.Join(err, os.Remove(keyName)) // a key alone would be in the way
	}
	return nil
}

func writeNew(name string, block *pem.Block) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fileMode)
	if err != nil {
		return err
	}
	err = pem.Encode(f, block)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return errors.Join(fmt.Errorf("write %q: %w", name, err), os.Remove(name))
	}
	return nil
}

// readAuthority returns the authority whose files are in a folder.
func readAuthority(dir string) (*signer, error) {
	certificate, key := filepath.Join(dir, "ca.crt"), filepath.Join(dir, "ca.key")
	pair, err := tls.LoadX509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("read the authority in %q and %q: %w", certificate, key, err)
	}
	by, is := pair.PrivateKey.(*ecdsa.PrivateKey)
	if !is || !pair.Leaf.IsCA {
		return nil, fmt.Errorf("%q and %q are no authority that was made here: use another folder", certificate, key)
	}
	return &signer{pair.Leaf, by}, nil
}
