package admin

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
)

// statusBytesMax bounds an answer: nine servers and their digests need a few
// kilobytes.
const statusBytesMax = 1 << 20

// Client asks admin ports. The zero value is one.
type Client struct {
	// Secret is the cluster's, for whatever changes something on another machine;
	// empty: unknown. It is not sent.
	Secret []byte

	// TLS, if it is set, is what servers are asked with whose admin ports are in TLS, and
	// those of other machines always; see VerifyServer of certnames. Where this machine's
	// answers that it has none, it is asked in the clear.
	TLS *tls.Config

	// PlainLooks lets servers of other machines be looked at in the clear where they have
	// no TLS, as some have while a running cluster gets it. It is for nothing that changes.
	PlainLooks bool

	once sync.Once
	http http.Client

	mu     sync.Mutex
	plain  map[string]bool   // by address: it has no TLS
	nonces map[string]string // by address: the number to prove the secret with, used once
}

// Status asks the admin port at host:port. The context bounds how long that may
// take.
func (c *Client) Status(ctx context.Context, addr string) (*Status, error) {
	return c.status(ctx, addr, "/status")
}

// Ready asks the server at host:port whether it serves clients. If not, why is the
// sentence that says so.
func (c *Client) Ready(ctx context.Context, addr string) (ready bool, why string, err error) {
	resp, err := c.send(ctx, addr, http.MethodGet, "/readyz", nil, nil)
	if err != nil {
		return false, "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err != nil {
		return false, "", err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return false, "", fmt.Errorf("it answers %s to GET /readyz: is it the admin port?", resp.Status)
	}
	return resp.StatusCode == http.StatusOK, strings.TrimSpace(string(body)), nil
}

func (c *Client) get(ctx context.Context, addr, path string) ([]byte, error) {
	resp, err := c.send(ctx, addr, http.MethodGet, path, nil, nil)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err != nil {
		return nil, err
	}
	switch {
	case resp.StatusCode == http.StatusForbidden:
		return nil, errors.New(strings.TrimSpace(string(body)))
	case resp.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%s answers %s to GET %s: is it the admin port?", addr, resp.Status, path)
	}
	return body, nil
}

// post sends a request that asks for more than a look. The body of the answer is the
// caller's, if there is no error. A *RefusedError is the server's word that it will not.
func (c *Client) post(ctx context.Context, addr, path string, body any) (*http.Response, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	resp, err := c.try(ctx, addr, path, text)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && len(c.Secret) > 0 {
		_ = resp.Body.Close() // now there is a number to prove the secret with
		resp, err = c.try(ctx, addr, path, text)
	}
	if err != nil || resp.StatusCode == http.StatusOK {
		return resp, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	line, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err != nil {
		return nil, err
	}
	reason := strings.TrimSpace(string(line))
	if resp.StatusCode < http.StatusInternalServerError {
		forbidden := resp.StatusCode == http.StatusForbidden || resp.StatusCode == http.StatusUnauthorized
		return nil, &RefusedError{Reason: reason, Forbidden: forbidden}
	}
	return nil, errors.New(reason)
}

// try sends a request, with a proof of the secret if there is a number for one.
func (c *Client) try(ctx context.Context, addr, path string, body []byte) (*http.Response, error) {
	header := map[string]string{"Content-Type": "application/json"}
	c.mu.Lock()
	nonce := c.nonces[addr]
	delete(c.nonces, addr)
	c.mu.Unlock()
	if nonce != "" && len(c.Secret) > 0 {
		sum := sumOf(body)
		header[nonceHeader], header[bodyHeader], header[proofHeader] = nonce, sum, proofOf(c.Secret, nonce, http.MethodPost, path, sum)
	}
	resp, err := c.send(ctx, addr, http.MethodPost, path, header, body)
	if err != nil {
		return nil, err
	}
	if nonce := resp.Header.Get(nonceHeader); nonce != "" {
		c.mu.Lock()
		if c.nonces == nil {
			c.nonces = map[string]string{}
		}
		c.nonces[addr] = nonce
		c.mu.Unlock()
	}
	return resp, nil
}
