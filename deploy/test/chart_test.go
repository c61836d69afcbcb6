package test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/yaml"
)

const (
	chartDir   = top + "/deploy/helm/raftcached"
	namespace  = "caches"
	kubernetes = "v1.30.0" // the oldest that the chart is for
)

// manifests are the objects of a rendered chart.
type manifests struct {
	set      *appsv1.StatefulSet
	services map[string]*corev1.Service
	configs  map[string]*corev1.ConfigMap
	secrets  map[string]*corev1.Secret
	budget   *policyv1.PodDisruptionBudget
	policy   *networkingv1.NetworkPolicy
	monitor  *serviceMonitor
	notes    string
}

// serviceMonitor is what the chart may use of the Prometheus operator's type.
type serviceMonitor struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata"`
	Spec              struct {
		NamespaceSelector struct {
			MatchNames []string `json:"matchNames"`
		} `json:"namespaceSelector"`
		Selector  metav1.LabelSelector `json:"selector"`
		Endpoints []struct {
			Port     string `json:"port"`
			Path     string `json:"path"`
			Interval string `json:"interval"`
			Scheme   string `json:"scheme"`

			Relabelings []struct {
				TargetLabel string `json:"targetLabel"`
				Replacement string `json:"replacement"`
			} `json:"relabelings"`
			TLSConfig struct {
				InsecureSkipVerify bool `json:"insecureSkipVerify"`
				Cert               struct {
					Secret corev1.SecretKeySelector `json:"secret"`
				} `json:"cert"`
				KeySecret corev1.SecretKeySelector `json:"keySecret"`
			} `json:"tlsConfig"`
		} `json:"endpoints"`
	} `json:"spec"`
}

// job is the label of what the monitor finds.
func (m *serviceMonitor) job() string {
	for _, r := range m.Spec.Endpoints[0].Relabelings {
		if r.TargetLabel == "job" {
			return r.Replacement
		}
	}
	return ""
}

// alertsKnow reports whether the alert of servers that do not answer is of those with a job.
func alertsKnow(t *testing.T, job string) bool {
	t.Helper()
	text, err := os.ReadFile(top + "/deploy/prometheus/alerts.yaml")
	must(t, err)
	jobs := regexp.MustCompile(`up\{job=~"(.*)"\}`).FindSubmatch(text)
	if jobs == nil {
		t.Fatal("no alert is of servers that do not answer")
	}
	return regexp.MustCompile("^(" + string(jobs[1]) + ")$").MatchString(job)
}

// render renders the chart as `helm template` does. values is YAML.
func render(t *testing.T, values string) (*manifests, error) {
	t.Helper()
	c, err := loader.Load(chartDir)
	must(t, err)
	given, err := chartutil.ReadValues([]byte(values))
	must(t, err)
	version, err := chartutil.ParseKubeVersion(kubernetes)
	must(t, err)
	capabilities := chartutil.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	options := chartutil.ReleaseOptions{Name: "raftcached", Namespace: namespace, Revision: 1, IsInstall: true}
	all, err := chartutil.ToRenderValues(c, given, options, capabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	if err != nil {
		return nil, err
	}
	m := &manifests{services: map[string]*corev1.Service{}, configs: map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{}}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Base(name) == "NOTES.txt" {
			m.notes = files[name]
			continue
		}
		for _, document := range regexp.MustCompile(`(?m)^---$`).Split(files[name], -1) {
			if strings.TrimSpace(document) != "" {
				m.add(t, name, document)
			}
		}
	}
	return m, nil
}

// add decodes a document as a strict API server does: unknown and doubled fields are errors.
func (m *manifests) add(t *testing.T, name, document string) {
	t.Helper()
	text, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	if bytes.Equal(text, []byte("null")) {
		return // comments
	}
	var kind metav1.TypeMeta
	must(t, json.Unmarshal(text, &kind))
	if kind.Kind == "ServiceMonitor" {
		m.monitor = new(serviceMonitor)
		must(t, yaml.UnmarshalStrict([]byte(document), m.monitor))
		return
	}
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{appsv1.AddToScheme, corev1.AddToScheme, policyv1.AddToScheme, networkingv1.AddToScheme} {
		must(t, add(scheme))
	}
	object, _, err := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer().Decode(text, nil, nil)
	if err != nil {
		t.Fatalf("%s: %v\n%s", name, err, document)
	}
	switch o := object.(type) {
	case *appsv1.StatefulSet:
		m.set = o
	case *corev1.Service:
		m.services[o.Name] = o
	case *corev1.ConfigMap:
		m.configs[o.Name] = o
	case *corev1.Secret:
		m.secrets[o.Name] = o
	case *policyv1.PodDisruptionBudget:
		m.budget = o
	case *networkingv1.NetworkPolicy:
		m.policy = o
	default:
		t.Fatalf("%s: unexpected %T", name, object)
	}
}

// everyValue sets everything that the chart has.
const everyValue = `
replicas: 5
image: {repository: registry.example/raftcached, tag: "9", pullPolicy: Always}
imagePullSecrets: [{name: registry}]
memoryLimitMiB: 100
settings: {leases: all, maxConnections: 4096}
replaceEmpty: false
secret: {existingSecret: cluster-secret}
users: {existingSecret: cache-users}
tls: {existingSecret: cache-tls, verifyClients: true}
peerTLS: {existingSecret: cache-peers, mode: optional}
persistence: {size: 2Gi, storageClass: fast, annotations: {a: b}}
service: {port: 11222, annotations: {c: d}}
resources: {limits: {memory: 1Gi}}
antiAffinity: hard
nodeSelector: {disk: ssd}
tolerations: [{key: cache, operator: Exists, effect: NoSchedule}]
topologySpreadConstraints: [{maxSkew: 1, topologyKey: zone, whenUnsatisfiable: ScheduleAnyway}]
priorityClassName: high
podAnnotations: {e: f}
podLabels: {team: shop}
preStopSleepSeconds: 0
networkPolicy: {enabled: true}
serviceMonitor: {enabled: true, interval: 30s, labels: {release: prometheus}}
clusterDomain: example.org
`

// TestChartLints: helm lint finds nothing, with and without values.
func TestChartLints(t *testing.T) {
	version, err := chartutil.ParseKubeVersion(kubernetes)
	must(t, err)
	for name, text := range map[string]string{"defaults": "", "every value": everyValue} {
		values, err := chartutil.ReadValues([]byte(text))
		must(t, err)
		for _, m := range lint.AllWithKubeVersion(chartDir, values, namespace, version).Messages {
			if !strings.Contains(m.Error(), "icon is recommended") {
				t.Errorf("%s: %v", name, m)
			}
		}
	}
}

// TestChartHasTheVersion: that of the programs, which docs/packages.md shows.
func TestChartHasTheVersion(t *testing.T) {
	text, err := os.ReadFile(top + "/version.go")
	must(t, err)
	c, err := loader.Load(chartDir)
	must(t, err)
	if want := fmt.Sprintf("const Version = %q", c.Metadata.AppVersion); !strings.Contains(string(text), want) || c.Metadata.Version != c.Metadata.AppVersion {
		t.Errorf("version.go has no %s", want)
	}
	shown, err := os.ReadFile(top + "/docs/packages.md")
	must(t, err)
	for _, want := range []string{"registry.example/raftcached:%s ", "raftcached-%s-linux-amd64.tar.gz"} {
		if want = fmt.Sprintf(want, c.Metadata.AppVersion); !strings.Contains(string(shown), want) {
			t.Errorf("docs/packages.md does not show %s", want)
		}
	}
}

// TestManifests checks what the types of Kubernetes do not: that names and labels meet.
func TestManifests(t *testing.T) {
	for name, values := range map[string]string{"defaults": "", "every value": everyValue} {
		m, err := render(t, values)
		must(t, err)
		pod := labels.Set(m.set.Spec.Template.Labels)
		selects := func(what string, selector map[string]string) {
			if len(selector) == 0 || !labels.SelectorFromSet(selector).Matches(pod) {
				t.Errorf("%s: %s selects %v, not the pods, which have %v", name, what, selector, pod)
			}
		}
		selects("the set", m.set.Spec.Selector.MatchLabels)
		selects("the budget", m.budget.Spec.Selector.MatchLabels)
		headless := m.services[m.set.Spec.ServiceName]
		if headless == nil || headless.Spec.ClusterIP != corev1.ClusterIPNone || !headless.Spec.PublishNotReadyAddresses {
			t.Fatalf("%s: no headless service %q that shows pods which are not ready", name, m.set.Spec.ServiceName)
		}
		container := m.set.Spec.Template.Spec.Containers[0]
		ports := map[string]int32{}
		for _, p := range container.Ports {
			ports[p.Name] = p.ContainerPort
		}
		for _, s := range m.services {
			selects("service "+s.Name, s.Spec.Selector)
			for _, p := range s.Spec.Ports {
				if ports[p.TargetPort.String()] == 0 {
					t.Errorf("%s: service %s goes to port %v, which the pods do not have", name, s.Name, p.TargetPort)
				}
			}
		}
		for _, probe := range []*corev1.Probe{container.LivenessProbe, container.ReadinessProbe} {
			if ports[probe.HTTPGet.Port.String()] == 0 {
				t.Errorf("%s: a probe asks port %v", name, probe.HTTPGet.Port)
			}
		}
		volumes := []string{"data"}
		for _, v := range m.set.Spec.Template.Spec.Volumes {
			volumes = append(volumes, v.Name)
		}
		for _, mount := range container.VolumeMounts {
			if !slices.Contains(volumes, mount.Name) {
				t.Errorf("%s: there is no volume %q", name, mount.Name)
			}
		}
		if m.set.Spec.PodManagementPolicy != appsv1.ParallelPodManagement {
			t.Errorf("%s: pods start one after the other, and the first waits for the others", name)
		}
		if m.monitor != nil && !labels.SelectorFromSet(m.monitor.Spec.Selector.MatchLabels).Matches(labels.Set(headless.Labels)) {
			t.Errorf("%s: the monitor finds no service", name)
		}
		if m.monitor != nil && !alertsKnow(t, m.monitor.job()) {
			t.Errorf("%s: no alert is of the servers that the monitor finds, whose job is %q", name, m.monitor.job())
		}
		if m.policy != nil {
			selects("the policy", m.policy.Spec.PodSelector.MatchLabels)
		}
	}
}

// TestValuesTakeEffect: what is set is where it belongs.
func TestValuesTakeEffect(t *testing.T) {
	m, err := render(t, everyValue)
	must(t, err)
	config := m.configs["raftcached"].Data["server.json"]
	for _, want := range []string{
		`"tls": true`, `"tlsCert": "/run/secrets/tls/tls.crt"`, `"tlsKey": "/run/secrets/tls/tls.key"`, `"tlsCA": "/run/secrets/tls/ca.crt"`, `"tlsVerify": 2`,
		`"peerCertFile": "/run/secrets/peers/server.crt"`, `"peerKeyFile": "/run/secrets/peers/server.key"`, `"peerCAFile": "/run/secrets/peers/ca.crt"`, `"peerTLS": "optional"`,
		`"authFile": "/run/secrets/users/users"`, `"leases": "all"`, `"maxConnections": 4096`, `"memoryLimitMiB": 100`, `"replaceEmpty": false`,
		`"host": "raftcached-4.raftcached-servers.caches.svc.example.org"`,
	} {
		if !strings.Contains(config, want) {
			t.Errorf("server.json is %s, want %s in it", config, want)
		}
	}
	pod := m.set.Spec.Template.Spec
	for _, probe := range []*corev1.Probe{pod.Containers[0].LivenessProbe, pod.Containers[0].ReadinessProbe} {
		if probe.HTTPGet.Scheme != corev1.URISchemeHTTP || probe.HTTPGet.Port.String() != "health" { // has no certificate
			t.Errorf("a probe is %+v", probe)
		}
	}
	if m.monitor.Spec.Endpoints[0].Scheme != "https" || m.monitor.Spec.Endpoints[0].TLSConfig.KeySecret.Key != "client.key" {
		t.Errorf("the admin port is asked by %+v", m.monitor.Spec.Endpoints)
	}
	if len(m.secrets) != 0 || pod.Affinity.PodAntiAffinity.RequiredDuringSchedulingIgnoredDuringExecution == nil || pod.Containers[0].Lifecycle != nil ||
		pod.Containers[0].Image != "registry.example/raftcached:9" || pod.Containers[0].Resources.Limits.Memory().String() != "1Gi" || m.policy == nil || m.monitor == nil {
		t.Errorf("the pods are %+v, the secrets %v", pod, m.secrets)
	}
	m, err = render(t, "memoryLimitMiB: 1000\nantiAffinity: none\n")
	must(t, err)
	pod = m.set.Spec.Template.Spec
	if got := pod.Containers[0].Resources.Limits.Memory().String(); got != "1320Mi" || pod.Affinity != nil || m.policy != nil || m.monitor != nil {
		t.Errorf("1000 MiB of items get %s of memory, want 1320Mi; the pods are %+v", got, pod)
	}
	if secret := m.secrets["raftcached"]; secret == nil || len(secret.Data["secret"]) != 48 {
		t.Errorf("the secret is %v", secret)
	}
	for _, wrong := range []string{"replicas: 0", "replicas: 10", "antiAffinity: maybe", "memoryLimit: 5", "image: {name: x}"} {
		if _, err := render(t, wrong); err == nil {
			t.Errorf("%q is taken", wrong)
		}
	}
}
