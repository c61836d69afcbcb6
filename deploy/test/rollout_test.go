package test

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// rollout is a release whose values change while its pods run.
type rollout struct {
	t     *testing.T
	m     *machine
	image image
	kept  map[string]*corev1.Secret // in all revisions
	pods  []*container
	chart *manifests // the last one
}

// upgrade renders the chart with other values, as `helm upgrade` does.
func (r *rollout) upgrade(values string) {
	r.t.Helper()
	chart, err := render(r.t, values)
	must(r.t, err)
	chart.secrets = r.kept
	r.chart = chart
}

// replace ends a pod and starts it as the chart has it now.
func (r *rollout) replace(i int) {
	r.t.Helper()
	grace := time.Duration(*r.chart.set.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	r.m.stop(r.pods[i], syscall.SIGTERM, grace)
	next := r.chart.pod(r.t, r.image, i)
	next.ip, r.pods[i] = r.pods[i].ip, next
	r.m.start(next)
}

// awaitReady awaits the probe of a pod.
func (r *rollout) awaitReady(what string, i int) {
	r.t.Helper()
	r.m.await(fmt.Sprintf("%s: pod %d is ready", what, i), func() error { return r.chart.ready(r.pods[i]) })
}

// all replaces one pod after the other, as the set does: the highest number first, and the next
// one when that is ready.
func (r *rollout) all(what string) {
	r.t.Helper()
	for i := range slices.Backward(r.pods) {
		r.replace(i)
		r.awaitReady(what, i)
		r.m.wantAnswer(r.pods[(i+1)%len(r.pods)], "get k\r\n", "VALUE k 0 1|x|END")
	}
}

// TestCertificatesComeAndGo gives pods that run certificates, pod by pod, and takes them away
// again, as docs/packages.md says: the set stands still at the first pod without, which the others
// do not let in, until the next one is deleted.
func TestCertificatesComeAndGo(t *testing.T) {
	img := buildImage(t)
	first, err := render(t, "")
	must(t, err)
	secret, _ := createCertificates(t, img, first)
	r := &rollout{t: t, m: newMachine(t), image: img, kept: map[string]*corev1.Secret{"raftcached": first.secrets["raftcached"], "cache-peers": secret}}
	r.upgrade("")
	for i := range int(*r.chart.set.Spec.Replicas) {
		r.pods = append(r.pods, r.chart.pod(t, img, i))
	}
	r.m.start(r.pods...)
	for i := range r.pods {
		r.awaitReady("at first", i)
	}
	r.m.wantAnswer(r.pods[0], "set k 0 0 1\r\nx\r\n", "STORED")

	const optional, required = "peerTLS: {existingSecret: cache-peers, mode: optional}", "peerTLS: {existingSecret: cache-peers}"
	for _, step := range []struct{ what, values string }{{"optional", optional}, {"required", required}, {"optional again", optional}} {
		r.upgrade(step.values)
		r.all(step.what)
		r.m.await(step.what+": all is well", func() error { return well(r.m, r.pods[0], len(r.pods)) })
	}

	r.upgrade("")
	r.replace(2)
	r.m.await("pod 2 is told why it is kept out", func() error {
		text, err := os.ReadFile(r.pods[2].log.Name())
		if err == nil && !strings.Contains(string(text), "server 2 is without TLS now, and has used it with server ") {
			err = fmt.Errorf("it has logged %s", text)
		}
		return err
	})
	if r.chart.ready(r.pods[2]) == nil {
		t.Error("the pod without a certificate is let in by those that have met it with one")
	}
	r.m.wantAnswer(r.pods[0], "set l 0 0 1\r\ny\r\n", "STORED")
	r.replace(1)
	r.awaitReady("without", 2)
	r.awaitReady("without", 1)
	r.m.wantAnswer(r.pods[2], "set m 0 0 1\r\nz\r\n", "STORED")
	r.replace(0)
	r.awaitReady("without", 0)
	r.m.await("all is well", func() error { return well(r.m, r.pods[0], len(r.pods)) })
	r.m.wantAnswer(r.pods[0], "get k l m\r\n", "VALUE k 0 1|x|VALUE l 0 1|y|VALUE m 0 1|z|END")
}

// TestNotesOfCertificates: who is between the two steps is told the next one.
func TestNotesOfCertificates(t *testing.T) {
	for values, want := range map[string]bool{
		"": false, "peerTLS: {existingSecret: cache-peers}": false, "peerTLS: {existingSecret: cache-peers, mode: optional}": true,
	} {
		m, err := render(t, values)
		must(t, err)
		if got := strings.Contains(m.notes, "--set peerTLS.mode=required"); got != want {
			t.Errorf("%q: the notes are\n%s", values, m.notes)
		}
	}
}
