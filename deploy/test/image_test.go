package test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/moby/buildkit/frontend/dockerfile/instructions"
	"github.com/moby/buildkit/frontend/dockerfile/linter"
	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	top        = "../.." // of the repository
	dockerfile = top + "/deploy/docker/Dockerfile"
)

// image is what the last stage of the Dockerfile makes.
type image struct {
	root                   string // folder with its file system, not to be changed
	env                    []string
	entrypoint, healthy    []string // commands
	workdir                string
	uid, gid               int
	volumes, ports, signal string
}

// parseDockerfile reads the Dockerfile as BuildKit does, and has it checked by its linter.
func parseDockerfile(t *testing.T) []instructions.Stage {
	t.Helper()
	text, err := os.ReadFile(dockerfile)
	must(t, err)
	parsed, err := parser.Parse(bytes.NewReader(text))
	must(t, err)
	lint := linter.New(&linter.Config{Warn: func(rule, _, url, message string, _ []parser.Range) {
		t.Errorf("%s: %s (%s)", rule, message, url)
	}})
	stages, _, err := instructions.Parse(parsed.AST, lint)
	must(t, err)
	for _, w := range parsed.Warnings {
		t.Errorf("warning: %s", w.Short)
	}
	return stages
}

// built is the image of this process, which tests share.
var built = sync.OnceValues(func() (string, error) { return os.MkdirTemp("", "raftcached-image-") })

var buildOnce sync.Once

// buildImage makes the image by the steps of the Dockerfile: those of its first stage in a copy
// of what the build would be sent, those of the second one below a folder.
func buildImage(t *testing.T) image {
	t.Helper()
	dir, err := built()
	must(t, err)
	stages := parseDockerfile(t)
	if len(stages) != 2 || stages[0].Name != "build" || stages[1].BaseName != "scratch" {
		t.Fatalf("%d stages: %+v", len(stages), stages)
	}
	src, rootfs := filepath.Join(dir, "src"), filepath.Join(dir, "rootfs")
	img := image{root: filepath.Join(dir, "root")}
	buildOnce.Do(func() {
		copyContext(t, src)
		for _, c := range stages[0].Commands {
			if run, ok := c.(*instructions.RunCommand); ok {
				script := strings.ReplaceAll(strings.Join(run.CmdLine, " "), "/rootfs", rootfs)
				cmd := exec.CommandContext(t.Context(), "sh", "-ec", script)
				cmd.Dir = src
				cmd.Env = append(os.Environ(), "TARGETOS="+runtime.GOOS, "TARGETARCH="+runtime.GOARCH)
				if out, err := cmd.CombinedOutput(); err != nil {
					t.Fatalf("%s: %v\n%s", script, err, out)
				}
			}
		}
	})
	for _, c := range stages[1].Commands {
		img.apply(t, c, rootfs)
	}
	return img
}

// copyContext copies the files of the repository that a build is sent.
func copyContext(t *testing.T, dst string) {
	t.Helper()
	f, err := os.Open(dockerfile + ".dockerignore")
	must(t, err)
	defer func() { _ = f.Close() }()
	patterns, err := ignorefile.ReadAll(f)
	must(t, err)
	ignored, err := patternmatcher.New(patterns)
	must(t, err)
	out, err := exec.CommandContext(t.Context(), "git", "-C", top, "ls-files", "-co", "--exclude-standard").Output()
	must(t, err)
	for name := range strings.Lines(string(out)) {
		name = strings.TrimSuffix(name, "\n")
		skip, err := ignored.MatchesOrParentMatches(name)
		must(t, err)
		text, err := os.ReadFile(filepath.Join(top, name))
		if skip || os.IsNotExist(err) {
			continue
		}
		must(t, err)
		must(t, os.MkdirAll(filepath.Dir(filepath.Join(dst, name)), 0o755))
		must(t, os.WriteFile(filepath.Join(dst, name), text, 0o644))
	}
}

// apply does one step of the last stage.
func (img *image) apply(t *testing.T, c instructions.Command, rootfs string) {
	t.Helper()
	switch c := c.(type) {
	case *instructions.CopyCommand:
		if c.From != "build" || len(c.SourcePaths) != 1 || c.DestPath != "/" {
			t.Fatalf("unexpected %v", c)
		}
		owner := "0:0"
		if c.Chown != "" {
			owner = c.Chown
		}
		from := strings.Replace(c.SourcePaths[0], "/rootfs", rootfs, 1)
		must(t, os.MkdirAll(img.root, 0o755))
		out, err := exec.CommandContext(t.Context(), "sh", "-ec",
			`cp -r --preserve=mode "$1". "$2"/; if [ "$(id -u)" = 0 ]; then cd "$1" && find . -mindepth 1 | (cd "$2" && xargs chown -h "$3"); fi`,
			"copy", from, img.root, owner).CombinedOutput()
		if err != nil {
			t.Fatalf("copy %s: %v\n%s", from, err, out)
		}
	case *instructions.EnvCommand:
		for _, pair := range c.Env {
			img.env = append(img.env, pair.Key+"="+pair.Value)
		}
	case *instructions.WorkdirCommand:
		img.workdir = c.Path
	case *instructions.UserCommand:
		uid, gid, _ := strings.Cut(c.User, ":")
		var err1, err2 error
		img.uid, err1 = strconv.Atoi(uid)
		img.gid, err2 = strconv.Atoi(gid)
		if err1 != nil || err2 != nil {
			t.Fatalf("user %q has no numbers, by which Kubernetes could tell that it is not root", c.User)
		}
	case *instructions.EntrypointCommand:
		img.entrypoint = c.CmdLine
	case *instructions.HealthCheckCommand:
		if c.Health.Test[0] != "CMD" {
			t.Fatalf("the health check needs a shell: %q", c.Health.Test)
		}
		img.healthy = c.Health.Test[1:]
	case *instructions.VolumeCommand:
		img.volumes = strings.Join(c.Volumes, " ")
	case *instructions.ExposeCommand:
		img.ports = strings.Join(c.Ports, " ")
	case *instructions.StopSignalCommand:
		img.signal = c.Signal
	default:
		t.Fatalf("this test does not know %T", c)
	}
}

// TestImage checks what is in the image: two static programs, no shell, nothing that the
// server's user may write but its data.
func TestImage(t *testing.T) {
	img := buildImage(t)
	if img.uid == 0 || img.gid == 0 || img.volumes != "/data" || img.ports != "11211 11311 11411" || img.signal != "SIGTERM" {
		t.Errorf("the image is %+v", img)
	}
	var files []string
	must(t, filepath.Walk(img.root, func(name string, info os.FileInfo, err error) error {
		if err == nil && name != img.root {
			files = append(files, fmt.Sprintf("%v %s", info.Mode(), strings.TrimPrefix(name, img.root)))
		}
		return err
	}))
	want := []string{
		"-rw-r--r-- /LICENSE", "-rw-r--r-- /NOTICES", "drwx------ /data", "drwxr-xr-x /etc", "-rw-r--r-- /etc/group", "-rw-r--r-- /etc/passwd",
		"drwxr-xr-x /etc/raftcached", "drwxr-xr-x /usr", "drwxr-xr-x /usr/bin", "-rwxr-xr-x /usr/bin/raftcachectl", "-rwxr-xr-x /usr/bin/raftcached",
	}
	if !slices.Equal(files, want) {
		t.Errorf("it has\n%s\nwant\n%s", strings.Join(files, "\n"), strings.Join(want, "\n"))
	}
	for _, program := range []string{"raftcached", "raftcachectl"} {
		out, err := exec.CommandContext(t.Context(), "go", "version", "-m", filepath.Join(img.root, "usr/bin", program)).CombinedOutput()
		if err != nil || !strings.Contains(string(out), "CGO_ENABLED=0") {
			t.Errorf("%s is not static: %v\n%s", program, err, out)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
