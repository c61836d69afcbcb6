package admin

import (
	"net/http"
	"testing"
)

// TestServersAreAskedThemselves, whatever proxy the environment names: that is for the
// world outside.
func TestServersAreAskedThemselves(t *testing.T) {
	var c Client
	defer c.Close()
	_, _ = c.Status(t.Context(), "127.0.0.1:0") // nobody is there
	if transport, is := c.http.Transport.(*http.Transport); !is || transport.Proxy != nil {
		t.Errorf("a client may ask by a proxy: %T", c.http.Transport)
	}
}
