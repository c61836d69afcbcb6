package admin

import (
	"crypto/tls"
	"fmt"
	"mime"
	"net"
	"net/http"
	"strings"

	"raftcached/internal/certnames"
)

// guard lets a request pass that cannot change anything, and any other one only from
// this machine, or with a proof of the secret, and not from a page in a browser: a page
// of another site can send neither JSON nor, since browsers say where a request comes
// from, anything at all; and a name that somebody points at this machine is refused with
// its page.
//
// At an address of this machine alone a name that somebody points at it is refused: a page of
// that name could read what is looked at, clients' keys among it.
//
// In TLS certificates decide, wherever a request comes from: probes need none, a look needs
// one of the cluster's authorities, and a change the operator's. A page in a browser could
// use one that the browser has, and is refused all the same.
type guard struct {
	next     http.Handler
	secret   []byte // of the cluster; empty: there is none
	loopback bool   // the port is at an address of this machine alone
	origin   *http.CrossOriginProtection
	nonces   nonces
}

func newGuard(next http.Handler, secret []byte, loopback bool) *guard {
	return &guard{next: next, secret: secret, loopback: loopback, origin: http.NewCrossOriginProtection()}
}

// ServeHTTP implements http.Handler.
func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	looks := r.Method == http.MethodGet || r.Method == http.MethodHead
	if r.TLS != nil && !isProbe(r) {
		if refusal := refusalOf(r.TLS, looks); refusal != "" {
			answer(w, http.StatusForbidden, refusal)
			return
		}
	}
	if g.loopback && !isProbe(r) && !isOwnName(r.Host) {
		answer(w, http.StatusForbidden, fmt.Sprintf("this port is at an address of its machine alone, which has no name %q: open it as http://127.0.0.1", r.Host))
		return
	}
	if looks {
		g.next.ServeHTTP(w, r)
		return
	}
	content, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	here := r.TLS != nil || fromThisMachine(r) && !isForwarded(r.Header)
	switch {
	case !here && len(g.secret) == 0:
		answer(w, http.StatusForbidden, "that is taken from this machine only: run raftcachectl on it, or give the cluster a secret")
	case err != nil || content != "application/json":
		answer(w, http.StatusUnsupportedMediaType, "send the request as application/json")
	case r.Header.Get("Origin") != "" || g.origin.Check(r) != nil:
		answer(w, http.StatusForbidden, "a page in a browser cannot change anything: use raftcachectl")
	case !here && !g.proven(w, r):
		answer(w, http.StatusUnauthorized, "from another machine that needs the cluster's secret: name it with --secret-file, or the server.json that does with --config")
	default:
		g.next.ServeHTTP(w, r)
	}
}

// isProbe reports whether a request only asks whether the server lives and serves: the
// probes of Kubernetes show no certificate.
func isProbe(r *http.Request) bool { return r.URL.Path == "/livez" || r.URL.Path == "/readyz" }

// isOwnName reports whether a host is a number, or the name that only this machine has.
func isOwnName(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return host == "localhost" || net.ParseIP(strings.Trim(host, "[]")) != nil
}

// refusalOf says why the certificate of a connection is not enough; empty: it is. That it
// is one of the cluster's authorities was seen in the handshake.
func refusalOf(state *tls.ConnectionState, looks bool) string {
	switch {
	case len(state.VerifiedChains) == 0:
		return "that needs a certificate of the cluster: name it with --cert, --key and --cacert"
	case !looks && !certnames.Has(state.PeerCertificates[0], certnames.Operator):
		return "that needs the operator's certificate, which names " + certnames.Operator + "; this one names " + certnames.Text(state.PeerCertificates[0])
	}
	return ""
}

// isForwarded reports whether a proxy has sent a request on, as proxies say. It may be on
// this machine, and who has sent the request to it anywhere.
func isForwarded(h http.Header) bool {
	for name := range h {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded-") {
			return true
		}
	}
	return false
}

// fromThisMachine reports whether the client is at a loopback address, or at the
// one that it has connected to.
func fromThisMachine(r *http.Request) bool {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	if ip.IsLoopback() {
		return true
	}
	local, isTCP := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return isTCP && ip != nil && local.IP.Equal(ip)
}
