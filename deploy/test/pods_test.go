package test

import (
	"fmt"
	"os"
	"path"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// domain is what the names of the pods end with.
const domain = ".raftcached-servers." + namespace + ".svc.cluster.local"

// pod is the container that the set makes for a pod, as a kubelet would: with its environment,
// its user, and what is mounted into it.
func (m *manifests) pod(t *testing.T, img image, ordinal int) *container {
	t.Helper()
	spec := m.set.Spec.Template.Spec
	k := spec.Containers[0]
	c := &container{name: fmt.Sprintf("%s-%d%s", m.set.Name, ordinal, domain), image: img, args: k.Args, files: map[string]string{}}
	c.uid, c.gid = int(*spec.SecurityContext.RunAsUser), int(*spec.SecurityContext.RunAsGroup)
	if c.uid != img.uid || c.gid != img.gid || len(k.Command) > 0 || *k.SecurityContext.AllowPrivilegeEscalation || !*k.SecurityContext.ReadOnlyRootFilesystem {
		t.Fatalf("this test does not run it as %+v says", k)
	}
	environment := map[string]string{}
	for _, e := range k.Env {
		value := e.Value
		if e.ValueFrom != nil {
			if e.ValueFrom.FieldRef.FieldPath != "metadata.labels['apps.kubernetes.io/pod-index']" {
				t.Fatalf("this test does not know %v", e.ValueFrom)
			}
			value = fmt.Sprint(ordinal)
		}
		c.env = append(c.env, e.Name+"="+value)
		environment[e.Name] = value
	}
	for _, mount := range k.VolumeMounts {
		if mount.Name == "data" {
			if mount.MountPath != "/data" {
				t.Fatalf("data is at %s", mount.MountPath)
			}
			continue
		}
		files := m.volume(t, spec.Volumes, mount.Name)
		if part := mount.SubPath + expanded(mount.SubPathExpr, environment); part != "" { // one file, at the path itself
			text, there := files[part]
			if !there {
				t.Fatalf("volume %q has no %q", mount.Name, part)
			}
			c.files[mount.MountPath] = text
			continue
		}
		for name, text := range files {
			c.files[path.Join(mount.MountPath, name)] = text
		}
	}
	return c
}

// expanded is a text with the values of the variables in it, as a kubelet expands $(NAME).
func expanded(text string, environment map[string]string) string {
	for name, value := range environment {
		text = strings.ReplaceAll(text, "$("+name+")", value)
	}
	return text
}

// volume is the files of a volume.
func (m *manifests) volume(t *testing.T, volumes []corev1.Volume, name string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, v := range volumes {
		switch {
		case v.Name != name:
		case v.ConfigMap != nil:
			for key, text := range m.configs[v.ConfigMap.Name].Data {
				files[key] = text
			}
		case v.Secret != nil:
			m.secretFiles(t, v.Secret.SecretName, v.Secret.Items, v.Secret.Optional, files)
		case v.Projected != nil:
			for _, source := range v.Projected.Sources {
				m.secretFiles(t, source.Secret.Name, source.Secret.Items, source.Secret.Optional, files)
			}
		}
	}
	if len(files) == 0 {
		t.Fatalf("volume %q is empty", name)
	}
	return files
}

// secretFiles adds what a volume has of a Secret: all of it, or some keys, which must be
// there unless they are optional.
func (m *manifests) secretFiles(t *testing.T, name string, items []corev1.KeyToPath, optional *bool, files map[string]string) {
	t.Helper()
	data := m.secrets[name].Data
	for _, item := range items {
		text, there := data[item.Key]
		switch {
		case there:
			files[item.Path] = string(text)
		case optional == nil || !*optional:
			t.Fatalf("secret %q has no %q: the pod does not start", name, item.Key)
		}
	}
	if len(items) == 0 { // all
		for key, text := range data {
			files[key] = string(text)
		}
	}
}

// ready asks a pod's probe.
func (m *manifests) ready(c *container) error {
	k := m.set.Spec.Template.Spec.Containers[0]
	for _, p := range k.Ports {
		if p.Name == k.ReadinessProbe.HTTPGet.Port.String() {
			return c.get(strings.ToLower(string(k.ReadinessProbe.HTTPGet.Scheme)), int(p.ContainerPort), k.ReadinessProbe.HTTPGet.Path)
		}
	}
	return fmt.Errorf("no port %v", k.ReadinessProbe.HTTPGet.Port)
}

// TestPods runs the pods of the rendered chart. They form a cluster by themselves, whichever
// starts first; a pod that was killed comes back at another address, one whose volume was emptied
// takes its place again, a set grows, and pods stop well.
func TestPods(t *testing.T) {
	img := buildImage(t)
	m := newMachine(t)
	chart, err := render(t, "users: {existingSecret: cache-users}")
	must(t, err)
	chart.secrets["cache-users"] = &corev1.Secret{Data: map[string][]byte{"users": []byte("foo:bar\n")}}
	grace := time.Duration(*chart.set.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second
	const login = "set login 0 0 7\r\nfoo bar\r\n"
	var pods []*container
	for i := range int(*chart.set.Spec.Replicas) {
		pods = append(pods, chart.pod(t, img, i))
	}
	m.start(pods...)
	awaitReady := func(what string) {
		for _, c := range pods {
			m.await(what+": "+c.name+" is ready", func() error { return chart.ready(c) })
		}
	}
	awaitReady("at first")
	m.wantAnswer(pods[0], login+"set k 0 0 1\r\nx\r\n", "STORED|STORED")

	m.kill(pods[1])
	m.wantAnswer(pods[2], login+"set l 0 0 1\r\ny\r\n", "STORED|STORED")
	pods[1].ip = "" // it gets another one
	m.start(pods[1])
	awaitReady("one was killed")

	m.kill(pods[2])
	must(t, os.RemoveAll(pods[2].data)) // an empty volume takes its place
	m.start(pods[2])
	awaitReady("the volume of one was emptied")
	m.wantAnswer(pods[2], login+"get k l\r\n", "STORED|VALUE k 0 1|x|VALUE l 0 1|y|END")

	m.stop(pods[0], syscall.SIGTERM, grace)
	m.wantAnswer(pods[1], login+"get k\r\n", "STORED|VALUE k 0 1|x|END")
	m.start(pods[0])
	awaitReady("one was stopped")
	m.await("all is well", func() error { return well(m, pods[0], 3) })

	out, err := m.exec(pods[0], "raftcachectl", "member", "add", "3", "--host", "raftcached-3"+domain, "--no-wait")
	if err != nil {
		t.Fatalf("add a member: %v\n%s", err, out)
	}
	secret := chart.secrets["raftcached"] // which an upgrade keeps
	users := chart.secrets["cache-users"]
	chart, err = render(t, "users: {existingSecret: cache-users}\nreplicas: 4")
	must(t, err)
	chart.secrets = map[string]*corev1.Secret{"raftcached": secret, "cache-users": users}
	pods = append(pods, chart.pod(t, img, 3))
	m.start(pods[3])
	awaitReady("one was added")
	for i := range 3 { // the others get the new configuration, one at a time
		m.stop(pods[i], syscall.SIGTERM, grace)
		next := chart.pod(t, img, i)
		next.ip, pods[i] = pods[i].ip, next
		m.start(next)
		awaitReady(fmt.Sprintf("pod %d has the new configuration", i))
	}
	m.await("all is well", func() error { return well(m, pods[3], 4) })
	m.wantAnswer(pods[3], login+"get k l\r\n", "STORED|VALUE k 0 1|x|VALUE l 0 1|y|END")
	if out, err = m.exec(pods[0], "raftcachectl", "member", "remove", "3", "--yes"); err != nil {
		t.Fatalf("remove a member: %v\n%s", err, out)
	}
	m.kill(pods[3])
	m.await("all is well without the removed one", func() error { return well(m, pods[0], 3) })
	for _, c := range pods[:3] {
		m.stop(c, syscall.SIGTERM, grace)
	}
}

// well asks raftcachectl in a pod whether all is well with n servers.
func well(m *machine, c *container, n int) error {
	out, err := m.exec(c, "raftcachectl", "status")
	if err == nil && !strings.Contains(out, fmt.Sprintf("%d servers · OK", n)) {
		err = fmt.Errorf("not %d servers that are well", n)
	}
	if err != nil {
		err = fmt.Errorf("%w:\n%s", err, out)
	}
	return err
}
