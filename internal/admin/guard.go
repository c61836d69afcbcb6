package admin

import (
	"mime"
	"net"
	"net/http"
)

// guard lets a request pass that cannot change anything, and any other one only
// from this machine, and not from a page in a browser: a page of another site can
// send neither JSON nor, since browsers say where a request comes from, anything at
// all; and a name that somebody points at this machine is refused with its page.
func guard(next http.Handler) http.Handler {
	origin := http.NewCrossOriginProtection()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet || r.Method == http.MethodHead {
			next.ServeHTTP(w, r)
			return
		}
		content, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		switch {
		case !fromThisMachine(r):
			answer(w, http.StatusForbidden, "changes are taken from this machine only: run raftcachectl on it")
		case err != nil || content != "application/json":
			answer(w, http.StatusUnsupportedMediaType, "send the request as application/json")
		case r.Header.Get("Origin") != "" || origin.Check(r) != nil:
			answer(w, http.StatusForbidden, "a page in a browser cannot change anything: use raftcachectl")
		default:
			next.ServeHTTP(w, r)
		}
	})
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
