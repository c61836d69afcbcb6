package overview

import (
	"fmt"
	"strings"
	"time"

	"raftcached/internal/admin"
)

// addCertificates adds a problem if a server's certificates expire soon. They serve until then.
func (v *View) addCertificates(r *Row) {
	when, ports := firstOf(r.TLS, func(p *admin.PortTLS) (time.Time, bool) { return p.NotAfter, p.ExpiresSoon })
	if ports == "" {
		return
	}
	v.Problems = append(v.Problems, Problem{
		ServerID: &r.ID, Text: fmt.Sprintf("its certificate %s (port: %s)", expiry(when), ports),
		Help: "Replace its file, and send the server SIGHUP.",
	})
}

// addAuthorities adds a problem if an authority expires soon whose certificates a server
// believes.
func (v *View) addAuthorities(r *Row) {
	when, ports := firstOf(r.TLS, func(p *admin.PortTLS) (time.Time, bool) { return p.AuthorityNotAfter, p.AuthorityExpiresSoon })
	if ports == "" {
		return
	}
	v.Problems = append(v.Problems, Problem{
		ServerID: &r.ID, Text: fmt.Sprintf("an authority in its CA file %s, and what it has signed with it (port: %s)", expiry(when), ports),
		Help: "Put its successor into the file of all servers beside it, replace the certificates that it has signed, and take it out: SIGHUP after each.",
	})
}

// firstOf returns the ports at which something expires soon, and when the first does.
func firstOf(all []admin.PortTLS, of func(*admin.PortTLS) (at time.Time, soon bool)) (first time.Time, ports string) {
	var names []string
	for i := range all {
		at, soon := of(&all[i])
		if !soon {
			continue
		}
		names = append(names, all[i].Port)
		if first.IsZero() || at.Before(first) {
			first = at
		}
	}
	return first, strings.Join(names, ", ")
}

// expiry says when something expires, or has.
func expiry(at time.Time) string {
	verb := "expires"
	if !time.Now().Before(at) {
		verb = "expired"
	}
	return verb + " at " + at.Local().Format("2006-01-02 15:04")
}
