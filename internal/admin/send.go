package admin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// tlsExpected begins what Go's HTTP server answers who speaks no TLS where it is expected.
const tlsExpected = "Client sent an HTTP request to an HTTPS server"

// send sends a request, in TLS if the client has it and the server does not lack it.
func (c *Client) send(ctx context.Context, addr, method, path string, header map[string]string, body []byte) (*http.Response, error) {
	c.once.Do(func() { c.http.Transport = &http.Transport{TLSClientConfig: c.TLS} }) // never by a proxy that the environment names
	c.mu.Lock()
	mayBePlain := OnLoopback(addr) || c.PlainLooks && method == http.MethodGet
	secure := c.TLS != nil && (!mayBePlain || !c.plain[addr])
	c.mu.Unlock()
	resp, err := c.sendBy(ctx, secure, addr, method, path, header, body)
	if secure && errors.Is(err, http.ErrSchemeMismatch) && mayBePlain {
		c.mu.Lock()
		if c.plain == nil {
			c.plain = map[string]bool{}
		}
		c.plain[addr] = true
		c.mu.Unlock()
		resp, err = c.sendBy(ctx, false, addr, method, path, header, body)
	}
	if err != nil || secure || resp.StatusCode != http.StatusBadRequest {
		return resp, err
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, statusBytesMax))
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return nil, err
	}
	if strings.HasPrefix(string(text), tlsExpected) {
		return nil, &RefusedError{Reason: "it is in TLS: name the operator's certificate with --cert, --key and --cacert", Forbidden: true}
	}
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, nil
}

func (c *Client) sendBy(ctx context.Context, secure bool, addr, method, path string, header map[string]string, body []byte) (*http.Response, error) {
	scheme := "http://"
	if secure {
		scheme = "https://"
	}
	req, err := http.NewRequestWithContext(ctx, method, scheme+addr+path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("%q is no address: write host:port, like 127.0.0.1:11411", addr)
	}
	for name, value := range header {
		req.Header.Set(name, value)
	}
	return c.http.Do(req)
}

// Close closes idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }
