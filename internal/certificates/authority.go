package certificates

import (
	"bytes"
	"cmp"
	"crypto/x509"
	"slices"
	"time"
)

// authorityNotice is how long before it expires an authority should be replaced. That takes
// longer than to replace a certificate: whoever has one of that authority needs another one.
const authorityNotice = 30 * 24 * time.Hour

// Authority is one whose certificates are believed.
type Authority struct {
	Name        string
	Expires     time.Time
	ExpiresSoon bool // so that it should be replaced
}

// Authority returns the authority of the CA file that expires first. Those that have expired
// do not count, as an old one may stay beside its successor, unless none is left. Without a CA
// file it is zero.
//
// Nobody knows here which authorities still have certificates in use, those of clients above
// all. So the first one counts until it is taken out of the file: then nothing depends on it.
func (k *Keyring) Authority() Authority {
	now := k.now()
	c := firstToExpire(k.current.Load().lasting, now)
	if c == nil {
		return Authority{}
	}
	notice := min(authorityNotice, c.NotAfter.Sub(c.NotBefore)/4)
	return Authority{Name: nameOf(c), Expires: c.NotAfter, ExpiresSoon: c.NotAfter.Sub(now) < notice}
}

// firstToExpire returns the certificate that expires first after now, or if there is none the
// last that did; nil if there are none at all.
func firstToExpire(all []*x509.Certificate, now time.Time) *x509.Certificate {
	var first, last *x509.Certificate
	for _, c := range all {
		if !now.After(c.NotAfter) && (first == nil || c.NotAfter.Before(first.NotAfter)) {
			first = c
		}
		if last == nil || c.NotAfter.After(last.NotAfter) {
			last = c
		}
	}
	return cmp.Or(first, last)
}

// lasting leaves out certificates of authorities that were renewed: of those with one name and
// one key, which are believed alike, the one remains that is valid longest.
func lasting(all []*x509.Certificate) (left []*x509.Certificate) {
	for _, c := range all {
		i := slices.IndexFunc(left, func(other *x509.Certificate) bool {
			return bytes.Equal(c.RawSubject, other.RawSubject) && bytes.Equal(c.RawSubjectPublicKeyInfo, other.RawSubjectPublicKeyInfo)
		})
		switch {
		case i < 0:
			left = append(left, c)
		case c.NotAfter.After(left[i].NotAfter):
			left[i] = c
		}
	}
	return left
}
