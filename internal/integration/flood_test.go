package integration

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"raftcached/internal/certnames"
	"raftcached/internal/cluster"
	"raftcached/internal/testcerts"
)

// uselessShakes makes handshakes at a port that are of no use.
type uselessShakes struct {
	addr     string
	hello    []byte      // the first flight of a client
	stranger *tls.Config // shows a certificate of another authority
	computed atomic.Int64
	ignored  atomic.Int64 // given way, or cut before it was answered
}

// firstFlight is what a client begins a handshake with.
func firstFlight(t *testing.T, ca *testcerts.Authority) []byte {
	t.Helper()
	a, b := net.Pipe()
	go func() {
		_ = tls.Client(a, ca.Client()).Handshake()
		_ = a.Close()
	}()
	hello := make([]byte, 64<<10)
	n, err := b.Read(hello)
	must(t, err)
	must(t, b.Close())
	return hello[:n]
}

// shake makes a handshake that leads nowhere: one that goes on silently after the server has
// computed its answer, one that does not wait for that, one with a stranger's certificate, and
// one that ends within the first message. It returns the connection if that is to stay open.
func (f *uselessShakes) shake(kind int) net.Conn {
	conn, err := net.DialTimeout("tcp", f.addr, testLimit)
	if err != nil {
		f.ignored.Add(1)
		return nil
	}
	_ = conn.SetDeadline(time.Now().Add(testLimit))
	switch kind % 16 {
	case 0:
		_, _ = conn.Write(f.hello)
		if _, err = conn.Read(make([]byte, 1)); err == nil {
			f.computed.Add(1)
		} else {
			f.ignored.Add(1)
		}
		return conn
	case 1:
		session := tls.Client(conn, f.stranger)
		if err = session.Handshake(); err == nil {
			_, _ = io.Copy(io.Discard, session) // until it is refused
			f.computed.Add(1)
		} else {
			f.ignored.Add(1)
		}
	default:
		_, _ = conn.Write(f.hello[:len(f.hello)/(1+kind%2)])
		f.ignored.Add(1)
	}
	_ = conn.Close()
	return nil
}

// run makes so many handshakes, several at a time.
func (f *uselessShakes) run(handshakes int) {
	const atOnce = 32
	var wait sync.WaitGroup
	for range atOnce {
		wait.Go(func() {
			for i := range handshakes / atOnce {
				if silent := f.shake(i); silent != nil {
					defer func() { _ = silent.Close() }() // the server may have done so
				}
			}
		})
	}
	wait.Wait()
}

// slowKeyBits makes RSA keys that people use, and with which a server takes many times as
// long to sign in a handshake as with those of elliptic curves.
const slowKeyBits = 4096

// certifySlow gives the servers of a cluster certificates with which a handshake takes long.
func certifySlow(t *testing.T, c *cluster.Cluster) {
	t.Helper()
	ca, dir := testcerts.NewAuthority(t, "cluster"), filepath.Join(filepath.Dir(c.Config), "certs")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "ca.crt"), ca.ChainPEM, 0o600))
	for _, s := range c.Servers {
		key, err := rsa.GenerateKey(rand.Reader, slowKeyBits)
		must(t, err)
		own := ca.IssueFor(key, certnames.Server(s.ID))
		file := filepath.Join(dir, fmt.Sprint("server-", s.ID))
		must(t, os.WriteFile(file+".crt", own.ChainPEM, 0o600))
		must(t, os.WriteFile(file+".key", own.KeyPEM, 0o600))
	}
}

// healthPort is that of the first server for probes.
const healthPort = 11611

// probeWhile probes a server until others have done their work, and returns how often.
func probeWhile(t *testing.T, addr string, others *sync.WaitGroup) (probes int) {
	t.Helper()
	var done atomic.Bool
	go func() {
		others.Wait()
		done.Store(true)
	}()
	client := &http.Client{Timeout: testLimit}
	defer client.CloseIdleConnections()
	for ; !done.Load(); probes++ {
		for _, path := range []string{"/livez", "/readyz"} {
			resp, err := client.Get("http://" + addr + path)
			must(t, err)
			must(t, resp.Body.Close())
			if resp.StatusCode != http.StatusOK {
				t.Errorf("%s is answered %s", path, resp.Status)
			}
		}
	}
	return probes
}

// TestFloodOfHandshakes: thousands of handshakes that lead nowhere, at the log port and at the
// admin port of the leader, as fast as they can be made, cost the cluster neither its leader,
// nor a client its answer, nor a probe at the port for that.
func TestFloodOfHandshakes(t *testing.T) {
	takesLong(t)
	settings := peerCertificates()
	maps.Copy(settings, impatient())
	maps.Copy(settings, steady()) // others may keep this machine busy too
	ctx, c, _ := prepareCertified(t, cluster.Options{Settings: settings})
	certifySlow(t, c)
	ports, health := map[int][]string{}, map[int]string{}
	for i, s := range c.Servers {
		l, err := net.Listen("tcp", ":0")
		must(t, err)
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		must(t, l.Close())
		host, _, err := net.SplitHostPort(s.ClientAddr)
		must(t, err)
		health[i] = net.JoinHostPort(host, strconv.Itoa(healthPort+i))
		must(t, s.StartWith("-config", c.Config, "-id", strconv.Itoa(i), "-admin-listen", ":"+port, "-health-listen", health[i]))
		ports[i] = []string{net.JoinHostPort("127.0.0.1", port), net.JoinHostPort(host, strconv.Itoa(s.LogPort()))}
	}
	must(t, c.AwaitReady(ctx))
	leader, err := c.AwaitLeader(ctx)
	must(t, err)
	before, err := cluster.AskRaftStats(ctx, leader.ClientAddr)
	must(t, err)

	ca := testcerts.NewAuthority(t, "strange")
	l := startLoad(t, c, 2)
	l.awaitProgress(t, 100)
	const each = 3200
	var floods []*uselessShakes
	var wait sync.WaitGroup
	began := time.Now()
	for _, addr := range ports[leader.ID] {
		shown := ca.Issue(certnames.Server(0)).TLS()
		stranger := &tls.Config{InsecureSkipVerify: true, GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown, nil }}
		f := &uselessShakes{addr: addr, hello: firstFlight(t, ca), stranger: stranger}
		floods = append(floods, f)
		wait.Go(func() { f.run(each) })
	}
	probes := probeWhile(t, health[leader.ID], &wait)
	took := time.Since(began)
	l.awaitProgress(t, 100)
	l.finish()
	attempts := 0
	for _, w := range l.workers {
		attempts += w.attempts
	}
	if failed := attempts - int(l.acked.Load()); failed > 0 {
		t.Errorf("%d of %d requests failed", failed, attempts)
	}
	l.check(t, clientOf(t, leader))
	var computed int64
	for _, f := range floods {
		n := f.computed.Load()
		computed += n
		if n+f.ignored.Load() != each || n == 0 {
			t.Errorf("of %d handshakes with %s %d were answered, and %d not", each, f.addr, n, f.ignored.Load())
		}
	}
	t.Logf("%d handshakes in %v, %d of them answered, beside %d requests and %d probes", each*len(floods), took, computed, attempts, probes)
	for _, s := range c.Servers {
		after, err := cluster.AskRaftStats(ctx, s.ClientAddr)
		must(t, err)
		if after.Term != before.Term || after.LeaderID != before.LeaderID {
			t.Errorf("server %d: member %d leads in term %d, and before the flood it was %d in term %d", s.ID, after.LeaderID, after.Term, before.LeaderID, before.Term)
		}
	}
}
