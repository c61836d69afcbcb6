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
// good for one request, and the proof covers it, the request and its body. The body is read
// only when the head has proved the secret: it may be large, and a stranger's is not kept.
//
//	Raftcached-Nonce: NONCE          of the server
//	Raftcached-Nonce: NONCE          of the client, and
//	Raftcached-Body: HEX             SHA-256 of the body, and
//	Raftcached-Proof: HEX            HMAC-SHA256 with the secret
//
// What follows is neither encrypted nor signed.
const (
	nonceHeader = "Raftcached-Nonce"
	bodyHeader  = "Raftcached-Body"
	proofHeader = "Raftcached-Proof"

	nonceBytes = 16

	// noncesMax bounds the numbers that were given out and not used; then the oldest
	// is forgotten, and its owner asks again.
	noncesMax = 1024
)

// sumOf is what a proof covers of a body.
func sumOf(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// proofOf is the proof for a request whose body has a sum.
func proofOf(secret []byte, nonce, method, path, sum string) string {
	mac := hmac.New(sha256.New, secret)
	for _, part := range []string{"raftcached admin 1", nonce, method, path, sum} {
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
	nonce, sum, proof := r.Header.Get(nonceHeader), r.Header.Get(bodyHeader), r.Header.Get(proofHeader)
	if nonce == "" || proof == "" || !g.nonces.use(nonce) {
		return false
	}
	if !hmac.Equal([]byte(proof), []byte(proofOf(g.secret, nonce, r.Method, r.URL.Path, sum))) {
		return false
	}
	body, err := io.ReadAll(r.Body) // limitBody bounds it
	if err != nil || sumOf(body) != sum {
		return false
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	return true
}
