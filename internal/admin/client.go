package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"syscall"
)

// statusBytesMax bounds an answer: nine servers and their digests need a few
// kilobytes.
const statusBytesMax = 1 << 20

// Client asks admin ports. The zero value is one.
type Client struct {
	// Secret is the cluster's, for whatever changes something on another machine;
	// empty: unknown. It is not sent.
	Secret []byte

	http http.Client

	mu     sync.Mutex
	nonces map[string]string // by address: the number to prove the secret with, used once
}

// Status asks the admin port at host:port. The context bounds how long that may
// take.
func (c *Client) Status(ctx context.Context, addr string) (*Status, error) {
	body, err := c.get(ctx, addr, "/status")
	if err != nil {
		return nil, err
	}
	var s Status
	if err := json.Unmarshal(body, &s); err != nil {
		return nil, fmt.Errorf("%s answers something else than a status: %w", addr, err)
	}
	if s.StatusVersion != StatusVersion {
		return nil, fmt.Errorf("%s speaks version %d of the status, this program %d: use the raftcachectl of that server", addr, s.StatusVersion, StatusVersion)
	}
	return &s, nil
}

// Ready asks the server at host:port whether it serves clients. If not, why is the
// sentence that says so.
func (c *Client) Ready(ctx context.Context, addr string) (ready bool, why string, err error) {
	resp, err := c.fetch(ctx, addr, "/readyz")
	if err != nil {
		return false, "", err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err != nil {
		return false, "", err
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusServiceUnavailable {
		return false, "", fmt.Errorf("%s answers %s to GET /readyz: is it the admin port?", addr, resp.Status)
	}
	return resp.StatusCode == http.StatusOK, strings.TrimSpace(string(body)), nil
}

// fetch asks for a path. The body of the answer is the caller's, if there is no error.
func (c *Client) fetch(ctx context.Context, addr, path string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+path, http.NoBody)
	if err != nil {
		return nil, fmt.Errorf("%q is no address: write host:port, like 127.0.0.1:11411", addr)
	}
	return c.http.Do(req)
}

func (c *Client) get(ctx context.Context, addr, path string) ([]byte, error) {
	resp, err := c.fetch(ctx, addr, path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = resp.Body.Close() }() // it was read
	body, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
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
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%q is no address: write host:port, like 127.0.0.1:11411", addr)
	}
	req.Header.Set("Content-Type", "application/json")
	c.mu.Lock()
	nonce := c.nonces[addr]
	delete(c.nonces, addr)
	c.mu.Unlock()
	if nonce != "" && len(c.Secret) > 0 {
		req.Header.Set(nonceHeader, nonce)
		req.Header.Set(proofHeader, proofOf(c.Secret, nonce, req.Method, req.URL.Path, body))
	}
	resp, err := c.http.Do(req)
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

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// NotReached reports whether a request was not even sent.
func NotReached(err error) bool {
	var op *net.OpError
	return errors.As(err, &op) && op.Op == "dial"
}

// Why says in a few words why a server did not answer.
func Why(err error) string {
	var (
		errno   syscall.Errno
		timeout net.Error
		dns     *net.DNSError
	)
	switch {
	case errors.As(err, &dns):
		return "the name " + dns.Name + " is unknown"
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "it closed the connection"
	case strings.Contains(err.Error(), "malformed HTTP"):
		return "it does not speak HTTP: this is not an admin port"
	}
	return err.Error()
}
