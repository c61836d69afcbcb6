package peer

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/certnames"
	"raftcached/internal/testcerts"
	"raftcached/replication/frame"
	"raftcached/replication/identity"
)

// impostor listens at a server's address, and has neither the secret nor a certificate of the
// cluster. What it does on each connection is drawn from a seed.
type impostor struct {
	listener net.Listener
	random   *rand.Rand
	strange  *tls.Config // with a certificate of its own authority
	served   atomic.Int64
	done     chan struct{}
}

// startImpostor has one answer at an address until stop.
func startImpostor(t *testing.T, addr string, seed uint64, strange *testcerts.Authority) *impostor {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	must(t, err)
	i := &impostor{
		listener: l, random: rand.New(rand.NewPCG(seed, 0)), done: make(chan struct{}),
		strange: &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{strange.Issue(certnames.Server(1)).TLS()}},
	}
	go func() {
		defer close(i.done)
		for conn, err := l.Accept(); err == nil; conn, err = l.Accept() {
			_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
			i.deceive(conn)
			_ = conn.Close()
			i.served.Add(1)
		}
	}()
	return i
}

// stop ends it, and frees its address.
func (i *impostor) stop(t *testing.T) {
	t.Helper()
	must(t, i.listener.Close())
	<-i.done
}

// refusal is one of the frames by which a server says that it does not let another one in.
func (i *impostor) refusal() []byte {
	kinds := []uint64{kindRefusal, kindOutdated, kindRemoved, kindLater}
	kind := kinds[i.random.IntN(len(kinds))]
	return frame.AppendString(frame.AppendUint(frame.AppendArrayLen(nil, 2), kind), fmt.Sprint("end, number ", i.random.IntN(3)))
}

// deceive does one of the things that an impostor can do.
func (i *impostor) deceive(conn net.Conn) {
	switch i.random.IntN(9) {
	case 0: // nothing
	case 1:
		_ = conn.(*net.TCPConn).SetLinger(0)
	case 2:
		_, _ = io.WriteString(conn, "ERROR\r\n") // as a port for clients
		_, _ = io.CopyN(io.Discard, conn, helloBytesMax)
	case 3:
		_, _ = io.WriteString(conn, "HTTP/1.1 400 Bad Request\r\n\r\n")
		_, _ = io.CopyN(io.Discard, conn, 1)
	case 4: // an alert that TLS sends in the clear: bad certificate, expired, unknown authority
		_, _ = conn.Read(make([]byte, helloBytesMax))
		_, _ = conn.Write([]byte{21, 3, 3, 0, 2, 2, []byte{42, 45, 48}[i.random.IntN(3)]})
	case 5:
		if session := tls.Server(conn, i.strange); session.Handshake() == nil {
			_ = writeFrame(session, i.refusal())
		}
	case 6: // refuses at once
		_, _ = conn.Read(make([]byte, helloBytesMax))
		_ = writeFrame(conn, i.refusal())
	case 7: // what it hears
		_, _ = io.Copy(conn, io.LimitReader(conn, 1<<10))
	default:
		i.pose(conn)
	}
}

// pose answers as the server would, with the hello of a member and a proof that is none, and
// refuses then.
func (i *impostor) pose(conn net.Conn) {
	theirs, err := readFrame(conn)
	if err != nil {
		return
	}
	h, err := readHello(theirs)
	if err != nil {
		return
	}
	h.ServerID, h.DirectoryID, h.Lineage = 1, identity.DirectoryID{66}, lineage(66)
	h.Guard = []Guard{Open, Guarded, GuardOptional}[i.random.IntN(3)]
	if i.random.IntN(2) == 0 {
		h.ClusterID = 66 // formed already
	}
	ours := encodeHello(&h)
	_ = writeFrame(conn, ours)
	_ = writeFrame(conn, appendContents(nil, kindProof, proof([]byte("guessed"), acceptor, theirs, ours)))
	_ = writeFrame(conn, i.refusal())
	_, _ = io.CopyN(io.Discard, conn, helloBytesMax)
}

// deceptions is how often a server meets the impostor before the true one comes.
const deceptions = 10

// guards are the ways in which servers prove what they are.
func guards(ca *testcerts.Authority) map[string]func(*Config) {
	secret := func(c *Config) { c.Secret = []byte("open sesame") }
	certificate := func(c *Config) { c.TLS = named(ca, c.ServerID) }
	return map[string]func(*Config){
		"secret": secret, "certificates": certificate,
		"both": func(c *Config) { secret(c); certificate(c) },
	}
}

// TestImpostorEndsNoFormation: servers that form a cluster meet an impostor in the place of one
// of them. Whatever it says, they go on asking, and form it with the true one.
func TestImpostorEndsNoFormation(t *testing.T) {
	ca, strange := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	for name, guard := range guards(ca) {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, "/seed-", seed), func(t *testing.T) {
				t.Parallel()
				list := members(3)
				i := startImpostor(t, address(list[1]), seed, strange)
				a, c := listen(t, list, 0, guard), listen(t, list, 2, guard)
				formed := make(chan error, 2)
				for _, n := range []*node{a, c} {
					go func() {
						_, err := n.form(t.Context())
						formed <- err
					}()
				}
				awaitDeceived(t, i, formed)
				i.stop(t)
				b := listen(t, list, 1, guard)
				if cluster, err := b.form(t.Context()); err != nil || len(cluster.Members) != 3 {
					t.Errorf("server 1 formed %+v, %v", cluster, err)
				}
				for range 2 {
					must(t, <-formed)
				}
			})
		}
	}
}

// awaitDeceived waits until an impostor has had its chances. Nobody may end before.
func awaitDeceived(t *testing.T, i *impostor, ended <-chan error) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(time.Minute)
	for i.served.Load() < deceptions {
		select {
		case <-tick.C:
		case err := <-ended:
			t.Fatalf("a server has ended by what an impostor said: %v", err)
		case <-limit:
			t.Fatalf("it was met %d times", i.served.Load())
		}
	}
}

// TestImpostorEndsNoJoin: a server that asks to come in asks an impostor first, again and again,
// until a member lets it in.
func TestImpostorEndsNoJoin(t *testing.T) {
	ca, strange := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	for name, guard := range guards(ca) {
		for seed := range uint64(2) {
			t.Run(fmt.Sprint(name, "/seed-", seed), func(t *testing.T) {
				t.Parallel()
				list := members(3)
				a := listen(t, list[:1], 0, guard)
				cluster := formAll(t, a)
				i := startImpostor(t, address(list[1]), seed, strange)
				defer i.stop(t)
				var asked []Joiner
				admit := admitting(a, cluster, &asked)
				a.config.Admit = func(ctx context.Context, j Joiner) error {
					if i.served.Load() < deceptions {
						return errors.New("an election is on")
					}
					return admit(ctx, j)
				}
				var log logged
				b := listen(t, list, 2, func(c *Config) {
					guard(c)
					c.Logger = slog.New(slog.NewTextHandler(&log, nil))
				})
				joined, err := join(t, b, []identity.Member{list[1], list[0]})
				if err != nil || joined.ID != cluster.ID {
					t.Fatalf("joined %+v, %v", joined, err)
				}
				if !strings.Contains(log.String(), "not taken for a peer") && !strings.Contains(log.String(), "not believed, as who says it has not proved to be a peer") {
					t.Errorf("it has logged no reason: %s", &log)
				}
			})
		}
	}
}

// TestOneBadCertificate, or one bad list of authorities, of another server ends nobody: the
// others may be right. The reason is in the log, and when it is mended the cluster is formed.
func TestOneBadCertificate(t *testing.T) {
	ca, strange := testcerts.NewAuthority(t, "ours"), testcerts.NewAuthority(t, "strange")
	for name, bad := range map[string]struct {
		keys   *TLS
		reason string
		own    bool // it is told so by who has proved to be a server, and ends
	}{
		"expired":           {keysOf(ca, ca.Issue(certnames.Server(1), testcerts.Expired)), "its certificate expired at 2", false},
		"another cluster's": {keysOf(ca, strange.Issue(certnames.Server(1))), "signed by an authority that is not in this server's CA file", false},
		"another server's":  {named(ca, 2), "server-2.raftcached, 127.0.0.1, ::1, not server-1.raftcached", true},
		"distrusts":         {keysOf(strange, ca.Issue(certnames.Server(1))), "it refuses this server's certificate, or its TLS", false},
	} {
		t.Run(name, func(t *testing.T) {
			list := members(3)
			var log logged
			a := listen(t, list, 0, withTLS(named(ca, 0), &log))
			b, c := listen(t, list, 1, withTLS(bad.keys, nil)), listen(t, list, 2, withTLS(named(ca, 2), nil))
			ctx, cancel := context.WithCancel(t.Context())
			formed, theirs := make(chan error, 2), make(chan error, 1)
			for _, n := range []*node{a, c} {
				go func() {
					_, err := n.form(t.Context())
					formed <- err
				}()
			}
			go func() {
				_, err := b.form(ctx)
				theirs <- err
			}()
			wantLogged(t, "server 0", &log, bad.reason)
			cancel()
			if err := <-theirs; !errors.Is(err, context.Canceled) && (!bad.own || !strings.Contains(err.Error(), "give each server its own")) {
				t.Fatalf("the server with the bad one ends with %v", err)
			}
			select {
			case err := <-formed:
				t.Fatalf("another server ends with %v", err)
			default:
			}
			must(t, b.Close())
			b = listen(t, list, 1, withTLS(named(ca, 1), nil))
			_, err := b.form(t.Context())
			must(t, err)
			for range 2 {
				must(t, <-formed)
			}
		})
	}
}

// TestJoinPastABadCertificate: the member that is asked first has one; the next one lets the
// server in.
func TestJoinPastABadCertificate(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	list := members(3)
	a := listen(t, list[:1], 0, withTLS(named(ca, 0), nil))
	cluster := formAll(t, a)
	a.config.Admit = admitting(a, cluster, &[]Joiner{})
	listen(t, list, 1, withTLS(keysOf(ca, ca.Issue(certnames.Server(1), testcerts.Expired)), nil))
	var log logged
	b := listen(t, list, 2, withTLS(named(ca, 2), &log))
	joined, err := join(t, b, []identity.Member{list[1], list[0]})
	if err != nil || joined.ID != cluster.ID {
		t.Fatalf("joined %+v, %v", joined, err)
	}
	wantLogged(t, "who joins", &log, "not taken for a peer", "its certificate expired at 2")
}

// TestOwnBadCertificate ends a server: nobody would let it in.
func TestOwnBadCertificate(t *testing.T) {
	ca := testcerts.NewAuthority(t, "ours")
	list := members(2)
	a := listen(t, list[:1], 0, withTLS(named(ca, 0), nil))
	formAll(t, a)
	own := keysOf(ca, ca.Issue(certnames.Server(1), testcerts.Expired))
	own.Fault = func() error { return errors.New("the certificate of server 1 has expired") }
	b := listen(t, list, 1, withTLS(own, nil))
	for what, try := range map[string]func() error{
		"joins": func() error { _, err := join(t, b, list[:1]); return err },
		"forms": func() error { _, err := b.form(t.Context()); return err },
	} {
		if err := try(); err == nil || !final(err) || !strings.Contains(err.Error(), "server 1 has expired") {
			t.Errorf("who %s: %v", what, err)
		}
	}
}
