package admin

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"io"
	"net/http"
	"sync"
)

// Who asks from another machine proves that he knows the cluster's secret, without
// sending it: the server gives out a random number with each refusal and each answer,
// good for one request, and the proof covers it, the request and its body.
//
//	Raftcached-Nonce: NONCE          of the server
//	Raftcached-Nonce: NONCE          of the client, and
//	Raftcached-Proof: HEX            HMAC-SHA256 with the secret
//
// What follows is neither encrypted nor signed.
const (
	nonceHeader = "Raftcached-Nonce"
	proofHeader = "Raftcached-Proof"

	nonceBytes = 16

	// noncesMax bounds the numbers that were given out and not used; then the oldest
	// is forgotten, and its owner asks again.
	noncesMax = 1024
)

// proofOf is the proof for a request.
func proofOf(secret []byte, nonce, method, path string, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	sum := sha256.Sum256(body)
	for _, part := range []string{"raftcached admin 1", nonce, method, path, hex.EncodeToString(sum[:])} {
		_, _ = io.WriteString(mac, part+"\n") // a hash takes everything
	}
	return hex.EncodeToString(mac.Sum(nil))
}

// nonces are the numbers that may be used once.
type nonces struct {
	mu    sync.Mutex
	given []string
}

func (n *nonces) give() string {
	var b [nonceBytes]byte
	_, _ = rand.Read(b[:]) // it never fails
	nonce := hex.EncodeToString(b[:])
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.given) == noncesMax {
		n.given = append(n.given[:0], n.given[1:]...)
	}
	n.given = append(n.given, nonce)
	return nonce
}

// use takes a number back, and reports whether it was given out.
func (n *nonces) use(nonce string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, given := range n.given {
		if given == nonce {
			n.given = append(n.given[:i], n.given[i+1:]...)
			return true
		}
	}
	return false
}

// proven reports whether a request proves that its sender knows the secret. It reads
// the body, which stays readable. The sender is given another number in any case.
func (g *guard) proven(w http.ResponseWriter, r *http.Request) bool {
	w.Header().Set(nonceHeader, g.nonces.give())
	nonce, proof := r.Header.Get(nonceHeader), r.Header.Get(proofHeader)
	if nonce == "" || proof == "" || !g.nonces.use(nonce) {
		return false
	}
	body, err := io.ReadAll(r.Body) // limitBody bounds it
	if err != nil {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return hmac.Equal([]byte(proof), []byte(proofOf(g.secret, nonce, r.Method, r.URL.Path, body)))
}
