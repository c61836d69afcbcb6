package settings

import (
	"bytes"
	"fmt"
	"io"
	"os"
)

// The bounds of a secret. A short one can be guessed from a handshake.
const (
	secretBytesMin = 16
	secretBytesMax = 4 << 10
)

// ReadSecret returns the secret of a cluster: the text that is configured, or the
// contents of the file; nothing if there is neither. The error is an *Error.
func ReadSecret(text, file string) ([]byte, error) {
	secret, from := []byte(text), "the secret"
	if file != "" {
		if len(secret) > 0 {
			return nil, Errorf("both a secret and the secret file %q are configured: leave one out", file)
		}
		var err error
		if secret, err = readSecretFile(file); err != nil {
			return nil, Errorf("read the secret of the log port: %v", err)
		}
		from = fmt.Sprintf("the secret in file %q", file)
	} else if len(secret) == 0 {
		return nil, nil
	}
	if len(secret) < secretBytesMin || len(secret) > secretBytesMax {
		return nil, Errorf("%s has %d bytes: choose one of %d to %d", from, len(secret), secretBytesMin, secretBytesMax)
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
