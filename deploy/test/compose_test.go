package test

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"
)

// loadCompose reads compose.yaml as docker compose does.
func loadCompose(t *testing.T) *types.Project {
	t.Helper()
	file, err := filepath.Abs(top + "/deploy/docker/compose.yaml")
	must(t, err)
	p, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir: filepath.Dir(file), ConfigFiles: []types.ConfigFile{{Filename: file}}, Environment: types.Mapping{},
	})
	must(t, err)
	return p
}

// composed is the containers that compose.yaml makes of the image.
func composed(t *testing.T, img image) []*container {
	t.Helper()
	p := loadCompose(t)
	var all []*container
	for _, name := range slices.Sorted(maps.Keys(p.Services)) {
		s := p.Services[name]
		c := &container{name: name, image: img, args: s.Command, files: map[string]string{}, uid: img.uid, gid: img.gid}
		if s.Build == nil || filepath.Clean(s.Build.Context) != absolute(t, top) || !s.ReadOnly || len(s.Volumes) != 1 || s.Volumes[0].Target != img.volumes {
			t.Fatalf("service %s is %+v", name, s)
		}
		for key, value := range s.Environment {
			c.env = append(c.env, key+"="+*value)
		}
		for _, config := range s.Configs {
			text, err := os.ReadFile(p.Configs[config.Source].File)
			must(t, err)
			c.files[config.Target] = string(text)
		}
		for _, secret := range s.Secrets {
			if file := p.Secrets[secret.Source].File; file != absolute(t, top+"/deploy/docker/secret") {
				t.Fatalf("secret %s is file %s", secret.Source, file)
			}
			c.files["/run/secrets/"+secret.Source] = strings.Repeat("s3cr3t", 8) + "\n"
		}
		all = append(all, c)
	}
	return all
}

func absolute(t *testing.T, name string) string {
	t.Helper()
	name, err := filepath.Abs(name)
	must(t, err)
	return name
}

// TestCompose runs what compose.yaml says: three servers form a cluster by the names of their
// containers, are healthy, survive the loss of one, and stop well.
func TestCompose(t *testing.T) {
	img := buildImage(t)
	m := newMachine(t)
	servers := composed(t, img)
	if len(servers) != 3 {
		t.Fatalf("%d services, want 3", len(servers))
	}
	m.start(servers...)
	healthy := func(c *container) error {
		out, err := m.exec(c, img.healthy...)
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	}
	for _, c := range servers {
		m.await(c.name+" is healthy", func() error { return healthy(c) })
	}
	m.wantAnswer(servers[0], "set k 0 0 1\r\nx\r\n", "STORED")
	m.kill(servers[1])
	m.wantAnswer(servers[2], "get k\r\nset l 0 0 1\r\ny\r\n", "VALUE k 0 1|x|END|STORED")
	if err := healthy(servers[0]); err != nil {
		t.Errorf("where one of three is lost the others are healthy: %v", err)
	}
	m.start(servers[1])
	m.await("the lost one is healthy again", func() error { return healthy(servers[1]) })
	m.wantAnswer(servers[1], "get k l\r\n", "VALUE k 0 1|x|VALUE l 0 1|y|END")
	out, err := m.exec(servers[1], "raftcachectl", "status") // it finds server.json
	if err != nil || !strings.Contains(out, "3 servers · OK") {
		t.Errorf("raftcachectl status: %v\n%s", err, out)
	}
	for _, c := range servers {
		m.stop(c, syscall.SIGTERM, patience)
	}
}

// TestImageAlone runs the image without any setting: one node that keeps its items.
func TestImageAlone(t *testing.T) {
	img := buildImage(t)
	m := newMachine(t)
	c := &container{name: "alone", image: img, uid: img.uid, gid: img.gid}
	for _, answer := range []string{"END|STORED", "VALUE k 0 1|x|END|STORED"} {
		m.start(c)
		m.wantAnswer(c, "get k\r\nset k 0 0 1\r\nx\r\n", answer)
		if out, err := m.exec(c, img.healthy...); err != nil {
			t.Errorf("it is not healthy: %v\n%s", err, out)
		}
		m.stop(c, syscall.SIGTERM, patience)
	}
}
