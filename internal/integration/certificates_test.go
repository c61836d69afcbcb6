package integration

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
)

// peerCertificates are the settings that raftcachectl certs create says to add.
func peerCertificates() map[string]any {
	return map[string]any{
		"peerCertFile": "certs/server-{id}.crt", "peerKeyFile": "certs/server-{id}.key", "peerCAFile": "certs/ca.crt",
		"requestTimeoutMs": requestPatience.Milliseconds(),
	}
}

// prepareCertified prepares three servers with certificates, and returns how raftcachectl
// is run for them. When the test ends it stops them.
func prepareCertified(t *testing.T, o cluster.Options) (context.Context, *cluster.Cluster, func(...string) (int, string, string)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), testLimit)
	o.Executable, o.Dir, o.Servers = executable, t.TempDir(), 3
	c, err := cluster.New(o)
	must(t, err)
	t.Cleanup(func() {
		cancel()
		must(t, c.Close())
		for _, s := range c.Servers {
			if report := s.Race(); report != "" {
				t.Errorf("server %d has a data race:%s", s.ID, report)
			}
			if t.Failed() {
				t.Logf("server %d logged:\n%s", s.ID, s.LogTail())
			}
		}
	})
	return ctx, c, ctlOf(ctx, t, c)
}

// certify runs raftcachectl certs create.
func certify(t *testing.T, ctl func(...string) (int, string, string), args ...string) {
	t.Helper()
	if code, out, errs := ctl(append([]string{"certs", "create"}, args...)...); code != 0 {
		t.Fatalf("certs create: exit code %d: %s%s", code, out, errs)
	}
}

// awaitLogged waits until a server has logged a text.
func awaitLogged(ctx context.Context, t *testing.T, s *cluster.Server, want string) {
	t.Helper()
	must(t, cluster.Await(ctx, func() error {
		text, err := os.ReadFile(s.LogFile)
		if err == nil && !strings.Contains(string(text), want) {
			err = fmt.Errorf("server %d has not logged %q", s.ID, want)
		}
		return err
	}))
}

func startAll(ctx context.Context, t *testing.T, c *cluster.Cluster) {
	t.Helper()
	for _, s := range c.Servers {
		must(t, s.Start())
	}
	must(t, c.AwaitReady(ctx))
}

// TestClusterKnowsItselfByCertificates: made by the documented command, they carry a
// cluster through a killed leader, a replaced folder, new certificates and a fourth server.
func TestClusterKnowsItselfByCertificates(t *testing.T) {
	t.Parallel()
	ctx, c, ctl := prepareCertified(t, cluster.Options{Settings: peerCertificates()})
	certify(t, ctl)
	startAll(ctx, t, c)
	victim, leader, third := victimOf(ctx, t, c)
	fill(t, victim, "early")
	must(t, leader.Kill())
	must(t, c.AwaitServing(ctx, victim.ID, third.ID))
	fill(t, third, "leaderless")
	must(t, leader.Start())
	must(t, leader.AwaitReady(ctx))

	must(t, victim.Kill())
	must(t, os.RemoveAll(victim.DataDir))
	awaitExit(ctx, t, ctl, 0, "--server", third.AdminAddr, "member", "replace", strconv.Itoa(victim.ID), "--yes", "--no-wait")
	must(t, victim.Start())
	must(t, victim.AwaitReady(ctx))
	awaitVote(ctx, t, third, 3)
	wantFilled(t, victim, "early", "leaderless")

	// New certificates of the same authority, while the servers run.
	certs := filepath.Join(filepath.Dir(c.Config), "certs")
	for _, s := range c.Servers {
		for _, ext := range []string{".crt", ".key"} {
			must(t, os.Remove(filepath.Join(certs, fmt.Sprint("server-", s.ID, ext))))
		}
	}
	certify(t, ctl, "--add", "3=127.0.0.1")
	for _, s := range c.Servers {
		must(t, s.Process().Signal(syscall.SIGHUP))
		awaitLogged(ctx, t, s, "msg=reloaded")
	}
	must(t, third.Kill()) // its connections are new ones then
	must(t, third.Start())
	must(t, c.AwaitReady(ctx))

	file := func(ext string) string { return filepath.Join(certs, "server-3"+ext) }
	fourth := c.Add("-peer-cert", file(".crt"), "-peer-key", file(".key"), "-peer-ca", filepath.Join(certs, "ca.crt"))
	announce(ctx, t, c, fourth)
	must(t, fourth.Start())
	must(t, fourth.AwaitReady(ctx))
	awaitVote(ctx, t, third, 4)
	must(t, c.AwaitEqual(ctx))
	wantFilled(t, fourth, "early", "leaderless")
	text, err := os.ReadFile(c.Servers[0].LogFile)
	must(t, err)
	if strings.Contains(string(text), "whoever reaches the log port") {
		t.Error("a server with certificates warns of its log port")
	}
}

// TestStrangersAreNoPeers: a server with certificates of another cluster, or none, or those
// of another server, gets nowhere, and both sides say why. It comes back with its own.
func TestStrangersAreNoPeers(t *testing.T) {
	t.Parallel()
	ctx, c, ctl := prepareCertified(t, cluster.Options{Settings: peerCertificates()})
	certify(t, ctl)
	certify(t, ctl, "--dir", "strange")
	startAll(ctx, t, c)
	victim, leader, _ := victimOf(ctx, t, c)
	fill(t, victim, "early")
	dir := filepath.Dir(c.Config)
	own := []string{"-config", c.Config, "-id", strconv.Itoa(victim.ID)}
	strange := func(ext string) string { return filepath.Join(dir, "strange", fmt.Sprint("server-", victim.ID, ext)) }
	for _, attack := range []struct {
		args           []string
		theirs, others string
	}{
		{
			append(own, "-peer-cert", strange(".crt"), "-peer-key", strange(".key"), "-peer-ca", filepath.Join(dir, "strange", "ca.crt")),
			"signed by an authority that is not in this server's CA file", "it refuses this server's certificate, or its TLS (bad certificate)",
		},
		{
			[]string{"-id", strconv.Itoa(victim.ID), "-data", victim.DataDir},
			fmt.Sprintf("server %d has no TLS for the log port and server %d demands it", victim.ID, leader.ID), "it speaks no TLS at its log port",
		},
	} {
		must(t, victim.Kill())
		must(t, victim.StartWith(attack.args...))
		awaitLogged(ctx, t, victim, attack.theirs)
		awaitLogged(ctx, t, leader, attack.others)
	}
	must(t, victim.Kill())
	wrong := append([]string{}, own...)
	wantConfigured(ctx, t, victim, append(wrong, "-peer-cert", filepath.Join(dir, "certs", fmt.Sprintf("server-%d.crt", leader.ID)), "-peer-key", filepath.Join(dir, "certs", fmt.Sprintf("server-%d.key", leader.ID))),
		fmt.Sprintf("and not server-%d.raftcached, which is this server's name", victim.ID))
	must(t, victim.StartWith(own...))
	must(t, c.AwaitReady(ctx))
	wantFilled(t, victim, "early")
}

// wantConfigured starts a server, which ends with the exit code of a wrong configuration
// and a sentence.
func wantConfigured(ctx context.Context, t *testing.T, s *cluster.Server, args []string, want string) {
	t.Helper()
	must(t, s.StartWith(args...))
	select {
	case <-s.Process().Done():
	case <-ctx.Done():
		t.Fatalf("server %d goes on: %s", s.ID, s.LogTail())
	}
	if s.Process().ExitCode() != 78 || !strings.Contains(s.LogTail(), want) {
		t.Errorf("exit code %d: %s, want %q", s.Process().ExitCode(), s.LogTail(), want)
	}
}

// TestSecurityComesServerByServer: a cluster that runs gets a secret and certificates, and
// loses no write for that. Then nobody without them is let in.
func TestSecurityComesServerByServer(t *testing.T) {
	t.Parallel()
	ctx, c, ctl := prepareCertified(t, cluster.Options{Settings: map[string]any{"requestTimeoutMs": requestPatience.Milliseconds()}})
	startAll(ctx, t, c)
	fill(t, c.Servers[0], "open")
	certify(t, ctl)
	must(t, os.WriteFile(filepath.Join(filepath.Dir(c.Config), "secret"), []byte("a secret of some bytes"), 0o600))
	var filled []string
	for _, optional := range []bool{true, false} {
		change := peerCertificates()
		change["secretFile"] = "secret"
		if optional {
			change["peerTLS"], change["secretOptional"] = "optional", true
		}
		configure(t, c, change)
		for i, s := range c.Servers {
			must(t, s.Stop(ctx))
			other := c.Servers[(i+1)%3]
			prefix := fmt.Sprintf("optional-%v-%d-", optional, i)
			must(t, other.AwaitReady(ctx))
			fill(t, other, prefix)
			filled = append(filled, prefix)
			must(t, s.Start())
			must(t, c.AwaitReady(ctx))
			must(t, c.AwaitEqual(ctx)) // it is connected
		}
	}
	for _, s := range c.Servers {
		wantFilled(t, s, append(filled, "open")...)
	}
	host, _, err := net.SplitHostPort(c.Servers[0].ClientAddr)
	must(t, err)
	conn, err := net.Dial("tcp", net.JoinHostPort(host, strconv.Itoa(c.Servers[0].LogPort())))
	must(t, err)
	defer func() { must(t, conn.Close()) }()
	_, err = conn.Write([]byte{0, 0, 0, 1, 0xc0})
	must(t, err)
	awaitLogged(ctx, t, c.Servers[0], `reason="it speaks no TLS"`)
}

// configure writes other settings to the server.json of a cluster, beside its servers.
func configure(t *testing.T, c *cluster.Cluster, settings map[string]any) {
	t.Helper()
	text, err := os.ReadFile(c.Config)
	must(t, err)
	var config map[string]any
	must(t, json.Unmarshal(text, &config))
	all := map[string]any{"path": config["path"], "servers": config["servers"]}
	for name, value := range settings {
		all[name] = value
	}
	text, err = json.Marshal(all)
	must(t, err)
	must(t, os.WriteFile(c.Config, text, 0o600))
}

// TestAdminPortInTLS: other machines reach it, so it asks for certificates. raftcachectl
// finds the operator's beside the server.json.
func TestAdminPortInTLS(t *testing.T) {
	t.Parallel()
	ctx, c, ctl := prepareCertified(t, cluster.Options{Settings: peerCertificates()})
	certify(t, ctl)
	var addr string
	for i, s := range c.Servers {
		l, err := net.Listen("tcp", ":0")
		must(t, err)
		port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
		must(t, l.Close())
		must(t, s.StartWith("-config", c.Config, "-id", strconv.Itoa(i), "-admin-listen", ":"+port))
		addr = net.JoinHostPort("127.0.0.1", port)
	}
	must(t, c.AwaitReady(ctx))
	awaitExit(ctx, t, ctl, 0, "--server", addr, "status") // and those of the others
	awaitExit(ctx, t, ctl, 0, "--server", addr, "leases", "leader")
	certs := filepath.Join(filepath.Dir(c.Config), "certs")
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"--cert", filepath.Join(certs, "client.crt"), "--key", filepath.Join(certs, "client.key"), "--cacert", filepath.Join(certs, "ca.crt"), "--server", addr, "leases", "off"}, "needs the operator's certificate"},
		{[]string{"--config", filepath.Join(certs, "no.json"), "--server", addr, "status"}, "it is in TLS: name the operator's certificate"},
	} {
		code, out, errs := ctl(c.args...)
		if code == 0 || !strings.Contains(out+errs, c.want) {
			t.Errorf("%q: exit code %d: %s%s, want %q", c.args, code, out, errs, c.want)
		}
	}
	client := clientOf(t, c.Servers[1])
	must(t, client.Set(&memcache.Item{Key: "k", Value: []byte("v")}))
}
