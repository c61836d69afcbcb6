package integration

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"

	"raftcached/internal/cluster"
	"raftcached/internal/testcerts"
	"raftcached/internal/testclient"
)

// naming has a certificate name the host of an address too.
func naming(addr string) func(*x509.Certificate) {
	host, _, _ := net.SplitHostPort(addr)
	return func(c *x509.Certificate) { c.IPAddresses = append(c.IPAddresses, net.ParseIP(host)) }
}

// memcachedWithTLS starts a real memcached that needs certificates of its clients, and
// returns its address when it serves.
func memcachedWithTLS(ctx context.Context, t *testing.T, dir string, ca *testcerts.Authority) string {
	t.Helper()
	program, err := cluster.FindMemcached()
	if err != nil {
		skip(t, "%v", err)
	}
	host, err := cluster.RandomLoopback()
	must(t, err)
	addr := host + ":11211"
	chain, key := ca.Issue("memcached", naming(addr)).Write(dir, "memcached")
	authority := filepath.Join(dir, "memcached-ca.pem")
	must(t, os.WriteFile(authority, ca.ChainPEM, 0o600))
	args := []string{"-l", host, "-p", "11211", "-U", "0", "-Z", "-o", fmt.Sprintf("ssl_chain_cert=%s,ssl_key=%s,ssl_ca_cert=%s,ssl_verify_mode=2", chain, key, authority)}
	if os.Getuid() == 0 {
		args = append(args, "-u", "root") // otherwise it refuses to run as root
	}
	p, err := cluster.StartProcess(filepath.Join(dir, "memcached.log"), nil, program, args...)
	must(t, err)
	t.Cleanup(func() { must(t, p.End(context.Background(), syscall.SIGKILL)) })
	must(t, cluster.Await(ctx, func() error {
		select {
		case <-p.Done():
			return errors.New("memcached has ended") // it is one without TLS
		default:
		}
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			err = conn.Close()
		}
		return err
	}))
	return addr
}

// TestImportWithTLS: raftcachectl import reads from a memcached with TLS, and writes to a
// cluster with TLS, which believe different authorities; each needs a certificate. What cannot
// work is told with what helps, and changes nothing.
func TestImportWithTLS(t *testing.T) {
	t.Parallel()
	ctx, s := startSecured(t, 3)
	theirs := testcerts.NewAuthority(t, "theirs")
	from := memcachedWithTLS(ctx, t, s.dir, theirs)
	s.ca.Issue("named", naming(s.Servers[0].ClientAddr), naming(s.Servers[1].ClientAddr), naming(s.Servers[2].ClientAddr)).Write(s.dir, "server")
	for _, server := range s.Servers {
		must(t, server.Process().Signal(syscall.SIGHUP))
		s.awaitCertificate(ctx, t, server, "named")
	}
	s.ca.Issue("importer").Write(s.dir, "importer")
	theirs.Issue("reader").Write(s.dir, "reader")

	const items = 300
	source := testclient.DialTLS(t, from, theirs.Client(theirs.Issue("filler")))
	for i := range items {
		source.Ask(fmt.Sprintf("set key%d %d 0 5", i, i), fmt.Sprintf("%05d", i))
	}
	ctl := ctlOf(ctx, t, s.Cluster)
	reads := []string{"--from-tls-ca", "memcached-ca.pem", "--from-tls-cert", "reader.pem", "--from-tls-key", "reader.key"}
	writes := []string{"--tls-ca", "ca.pem", "--tls-cert", "importer.pem", "--tls-key", "importer.key"}
	run := func(flags ...[]string) (int, string) {
		args := []string{"import", from}
		for _, f := range flags {
			args = append(args, f...)
		}
		code, out, errs := ctl(args...)
		return code, out + errs
	}
	for name, c := range map[string]struct {
		flags [][]string
		want  string
	}{
		"no TLS to the cluster":               {[][]string{reads}, "it closed the connection, as a server with TLS does"},
		"no certificate for the cluster":      {[][]string{reads, {"--tls-ca", "ca.pem"}}, "certificate required"},
		"another authority for the cluster":   {[][]string{reads, {"--tls-ca", "memcached-ca.pem"}}, "unknown authority"},
		"no TLS to the memcached":             {[][]string{writes}, "it closed the connection, as a server with TLS does"},
		"another authority for the memcached": {[][]string{writes, {"--from-tls-ca", "ca.pem"}}, "unknown authority"},
		"that of this machine":                {[][]string{writes, {"--from-tls"}}, "unknown authority"},
		"a key without its certificate":       {[][]string{{"--from-tls-ca", "ca.pem", "--from-tls-key", "reader.key"}}, "name that by --from-tls-cert"},
		"a file that is none":                 {[][]string{{"--tls-ca", "importer.key"}}, "holds no certificate"},
	} {
		if code, text := run(c.flags...); code == 0 || !strings.Contains(text, c.want) {
			t.Errorf("%s: exit code %d, %s; want %q", name, code, text, c.want)
		}
	}
	client := s.gomemcache(t, s.Servers[0])
	if _, err := client.Get("key1"); !errors.Is(err, memcache.ErrCacheMiss) {
		t.Errorf("before the import key1 is %v", err)
	}
	code, text := run(reads, writes)
	if code != 0 || !strings.Contains(text, fmt.Sprintf("copied %d items from %s", items, from)) {
		t.Fatalf("exit code %d: %s", code, text)
	}
	for _, i := range []int{0, items - 1} {
		got, err := client.Get(fmt.Sprint("key", i))
		must(t, err)
		if string(got.Value) != fmt.Sprintf("%05d", i) || got.Flags != uint32(i) {
			t.Errorf("key%d is %q with flags %d", i, got.Value, got.Flags)
		}
	}
}
