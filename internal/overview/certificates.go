package overview

import (
	"fmt"
	"strings"
	"time"

	"raftcached/internal/admin"
)

// addExpiries adds problems if a server's certificates expire soon, which serve until then, or
// an authority whose certificates it believes.
func (v *View) addExpiries(r *Row) {
	v.addExpiry(r, func(p *admin.PortTLS) (time.Time, bool) { return p.NotAfter, p.ExpiresSoon },
		"its certificate %s (port: %s)",
		"Replace its file, and send the server SIGHUP.")
	v.addExpiry(r, func(p *admin.PortTLS) (time.Time, bool) { return p.AuthorityNotAfter, p.AuthorityExpiresSoon },
		"an authority in its CA file %s, and what it has signed with it (port: %s)",
		"Put its successor into the file of all servers beside it, replace the certificates that it has signed, and take it out: SIGHUP after each.")
}

// addExpiry adds a problem if something expires soon at one of a server's ports. The text has
// places for when, and for the ports.
func (v *View) addExpiry(r *Row, of func(*admin.PortTLS) (at time.Time, soon bool), text, help string) {
	if when, ports := firstOf(r.TLS, of); ports != "" {
		v.Problems = append(v.Problems, Problem{ServerID: &r.ID, Text: fmt.Sprintf(text, expiry(when), ports), Help: help})
	}
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
