package test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestPodsWithCertificates runs pods that know each other by what `raftcachectl certs create` makes:
// they form a cluster, their probes are asked by HTTPS, and raftcachectl in a pod sees all of them.
// Each has the key of its own server and no other one, whatever is in the Secret: only the operator,
// from elsewhere, changes the cluster.
func TestPodsWithCertificates(t *testing.T) {
	img := buildImage(t)
	m := newMachine(t)
	chart, err := render(t, "peerTLS: {existingSecret: cache-peers}")
	must(t, err)
	secret, dir := createCertificates(t, img, chart)
	chart.secrets["cache-peers"] = secret // with all keys, which is more than there should be

	var pods []*container
	for i := range int(*chart.set.Spec.Replicas) {
		pods = append(pods, chart.pod(t, img, i))
	}
	for i, c := range pods {
		wantOwnKey(t, secret, c, fmt.Sprintf("server-%d.key", i))
	}
	m.start(pods...)
	for _, c := range pods {
		m.await(c.name+" is ready", func() error { return chart.ready(c) })
	}
	m.wantAnswer(pods[0], "set k 0 0 1\r\nx\r\n", "STORED")
	m.wantAnswer(pods[1], "get k\r\n", "VALUE k 0 1|x|END")
	m.await("all is well", func() error { return well(m, pods[2], 3) })

	change := []string{"leases", "leader"}
	if out, err := m.exec(pods[0], append([]string{"raftcachectl"}, change...)...); err == nil || !strings.Contains(out, "needs the operator's certificate") {
		t.Errorf("a pod changes the cluster: %v\n%s", err, out)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	elsewhere := append([]string{"--server", pods[0].ip + ":11411", "--cert", file("operator.crt"), "--key", file("operator.key"), "--cacert", file("ca.crt")}, change...)
	if out, err := exec.CommandContext(t.Context(), filepath.Join(img.root, "usr/bin/raftcachectl"), elsewhere...).CombinedOutput(); err != nil {
		t.Errorf("the operator cannot change the cluster: %v\n%s", err, out)
	}
}

// createCertificates runs `raftcachectl certs create` for the pods of a chart, and returns a Secret
// of all that it makes, and the folder that it is in.
func createCertificates(t *testing.T, img image, chart *manifests) (secret *corev1.Secret, dir string) {
	t.Helper()
	config, dir := filepath.Join(t.TempDir(), "server.json"), filepath.Join(t.TempDir(), "certs")
	must(t, os.WriteFile(config, []byte(chart.configs["raftcached"].Data["server.json"]), 0o600))
	out, err := exec.CommandContext(t.Context(), filepath.Join(img.root, "usr/bin/raftcachectl"), "certs", "create", "--config", config, "--dir", dir).CombinedOutput()
	if err != nil {
		t.Fatalf("certs create: %v\n%s", err, out)
	}
	secret = &corev1.Secret{Data: map[string][]byte{}}
	files, err := os.ReadDir(dir)
	must(t, err)
	for _, file := range files {
		if secret.Data[file.Name()], err = os.ReadFile(filepath.Join(dir, file.Name())); err != nil {
			t.Fatal(err)
		}
	}
	return secret, dir
}

// wantOwnKey fails if a container sees another private key of the Secret than its own.
func wantOwnKey(t *testing.T, secret *corev1.Secret, c *container, own string) {
	t.Helper()
	keys := 0
	for key, text := range secret.Data {
		for file, seen := range c.files {
			if strings.HasSuffix(key, ".key") && strings.Contains(seen, string(text)) {
				if keys++; key != own {
					t.Errorf("%s sees %s in %s", c.name, key, file)
				}
			}
		}
	}
	if keys != 1 {
		t.Errorf("%s sees %d keys", c.name, keys)
	}
}

// TestCertificatesInTheChart: the volume has the certificates of the servers and no other key, and a
// server that has none yet keeps no pod from starting.
func TestCertificatesInTheChart(t *testing.T) {
	chart, err := render(t, "peerTLS: {existingSecret: cache-peers}\nreplicas: 3")
	must(t, err)
	secret := &corev1.Secret{Data: map[string][]byte{}}
	for _, name := range []string{"ca.crt", "ca.key", "operator.crt", "operator.key", "client.key", "server-0.crt", "server-0.key", "server-1.crt", "server-1.key"} {
		secret.Data[name] = []byte(name)
	}
	chart.secrets["cache-peers"] = secret
	got := slices.Sorted(maps.Keys(chart.volume(t, chart.set.Spec.Template.Spec.Volumes, "peers")))
	if want := []string{"ca.crt", "server-0.crt", "server-0.key", "server-1.crt", "server-1.key"}; !slices.Equal(got, want) {
		t.Errorf("the volume has %q, want %q", got, want)
	}
}

// TestPodsWithTLSForClients runs a pod whose clients need certificates.
func TestPodsWithTLSForClients(t *testing.T) {
	img := buildImage(t)
	m := newMachine(t)
	chart, err := render(t, "replicas: 1\ntls: {existingSecret: cache-tls, verifyClients: true}")
	must(t, err)
	chain, key := selfSigned(t, "cache.example")
	chart.secrets["cache-tls"] = &corev1.Secret{Data: map[string][]byte{"tls.crt": chain, "tls.key": key, "ca.crt": chain}}
	c := chart.pod(t, img, 0)
	m.start(c)
	m.await("it is ready", func() error { return chart.ready(c) })

	authorities := x509.NewCertPool()
	authorities.AppendCertsFromPEM(chain)
	pair, err := tls.X509KeyPair(chain, key)
	must(t, err)
	c.tls = &tls.Config{ServerName: "cache.example", RootCAs: authorities}
	if answer, err := c.ask("get k\r\n"); err == nil {
		t.Errorf("without a certificate a client is answered %q", answer)
	}
	c.tls.Certificates = []tls.Certificate{pair}
	m.wantAnswer(c, "set k 0 0 1\r\nx\r\nget k\r\n", "STORED|VALUE k 0 1|x|END")
}

// selfSigned makes a certificate that is its own authority.
func selfSigned(t *testing.T, name string) (chain, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	must(t, err)
	text, err := x509.MarshalPKCS8PrivateKey(private)
	must(t, err)
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: text})
}
