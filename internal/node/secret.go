package node

import (
	"bytes"
	"fmt"
	"io"
	"os"

	"raftcached/internal/settings"
)

// The bounds of a secret. A short one can be guessed from a handshake.
const (
	secretBytesMin = 16
	secretBytesMax = 4 << 10
)

// readSecret returns the secret of the log port, or nothing if there is none.
func (n *Node) readSecret() ([]byte, error) {
	secret, from := []byte(n.cfg.Secret), "the secret"
	if file := n.cfg.SecretFile; file != "" {
		if len(secret) > 0 {
			return nil, settings.Errorf("both a secret and the secret file %q are configured: leave one out", file)
		}
		var err error
		if secret, err = readSecretFile(file); err != nil {
			return nil, settings.Errorf("read the secret of the log port: %v", err)
		}
		from = fmt.Sprintf("the secret in file %q", file)
	} else if len(secret) == 0 {
		return nil, nil
	}
	if len(secret) < secretBytesMin || len(secret) > secretBytesMax {
		return nil, settings.Errorf("%s has %d bytes: choose one of %d to %d", from, len(secret), secretBytesMin, secretBytesMax)
	}
	return secret, nil
}

func readSecretFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read from
	b, err := io.ReadAll(io.LimitReader(f, 2*secretBytesMax))
	return bytes.TrimSpace(b), err
}
