package admin

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// remote serves a guarded handler to clients that seem to be on another machine, and
// returns its address. The handler echoes the body.
func remote(t *testing.T, secret string, seen func(r *http.Request)) string {
	t.Helper()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { _, _ = io.Copy(w, r.Body) })
	g := newGuard(echo, []byte(secret), false)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.RemoteAddr = "10.0.0.2:5"
		if seen != nil {
			seen(r)
		}
		g.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// TestProofFromAnotherMachine: who knows the secret may, and sends each request after
// the first only once.
func TestProofFromAnotherMachine(t *testing.T) {
	requests := 0
	addr := remote(t, "sixteen bytes ok", func(*http.Request) { requests++ })
	c := Client{Secret: []byte("sixteen bytes ok")}
	defer c.Close()
	for range 3 {
		resp, err := c.post(t.Context(), addr, "/restore", &RestoreStep{Step: RestoreEnd})
		if err != nil {
			t.Fatal(err)
		}
		body, err := io.ReadAll(resp.Body)
		if _ = resp.Body.Close(); err != nil || string(body) != `{"step":"end"}` {
			t.Fatalf("the handler has %q, %v", body, err)
		}
	}
	if requests != 4 {
		t.Errorf("%d requests for three posts", requests)
	}
	for _, other := range []*Client{{}, {Secret: []byte("another one of sixteen")}} {
		_, err := other.Restore(t.Context(), addr, &RestoreStep{})
		var refused *RefusedError
		if other.Close(); !errors.As(err, &refused) || !strings.Contains(refused.Reason, "needs the cluster's secret") {
			t.Errorf("with secret %q: %v", other.Secret, err)
		}
	}
	open := remote(t, "", nil)
	if _, err := c.Restore(t.Context(), open, &RestoreStep{}); err == nil || !strings.Contains(err.Error(), "from this machine only") {
		t.Errorf("a cluster without a secret: %v", err)
	}
}

// TestProofIsForOneRequest: a proof that was seen is good for nothing else, nor again.
func TestProofIsForOneRequest(t *testing.T) {
	secret := []byte("sixteen bytes ok")
	g := newGuard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), secret, false)
	try := func(nonce, proof, path, body string) int {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(body))
		r.RemoteAddr = "10.0.0.2:5"
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set(nonceHeader, nonce)
		r.Header.Set(bodyHeader, sumOf([]byte("{}")))
		r.Header.Set(proofHeader, proof)
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		return w.Code
	}
	nonce := func() (string, string) {
		n := g.nonces.give()
		return n, proofOf(secret, n, http.MethodPost, "/backup", sumOf([]byte("{}")))
	}
	n, p := nonce()
	if got := []int{try(n, p, "/backup", "{}"), try(n, p, "/backup", "{}")}; got[0] != http.StatusOK || got[1] != http.StatusUnauthorized {
		t.Errorf("a proof, twice: %v", got)
	}
	n, p = nonce()
	if got := try(n, p, "/backup", "{} "); got != http.StatusUnauthorized {
		t.Errorf("with another body: %d", got)
	}
	n, p = nonce()
	if got := try(n, p, "/restore", "{}"); got != http.StatusUnauthorized {
		t.Errorf("for another path: %d", got)
	}
	forged := strings.Repeat("0", 2*nonceBytes)
	if got := try(forged, proofOf(secret, forged, http.MethodPost, "/backup", sumOf([]byte("{}"))), "/backup", "{}"); got != http.StatusUnauthorized {
		t.Errorf("with a number of one's own: %d", got)
	}
	first, p := nonce()
	for range noncesMax {
		g.nonces.give()
	}
	if got := try(first, p, "/backup", "{}"); got != http.StatusUnauthorized || len(g.nonces.given) != noncesMax {
		t.Errorf("the oldest of too many numbers: %d, %d are kept", got, len(g.nonces.given))
	}
}

// TestBodiesOfStrangersAreNotKept: each may have 16 MiB, and many may be sent at one time. Who
// does not know the secret is refused before his is read.
func TestBodiesOfStrangersAreNotKept(t *testing.T) {
	g := newGuard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), []byte("sixteen bytes ok"), false)
	body := strings.NewReader(strings.Repeat(" ", restoreBytesMax))
	r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/restore", body)
	r.RemoteAddr = "10.0.0.2:5"
	for name, value := range map[string]string{
		"Content-Type": "application/json", nonceHeader: g.nonces.give(), proofHeader: strings.Repeat("0", 64),
	} {
		r.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	g.ServeHTTP(w, r)
	if read := restoreBytesMax - body.Len(); w.Code != http.StatusUnauthorized || read > 0 {
		t.Errorf("answered with %d when %d bytes of the body were read, want %d and none", w.Code, read, http.StatusUnauthorized)
	}
}
