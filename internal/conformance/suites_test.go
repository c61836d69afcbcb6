package conformance

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"raftcached/internal/cluster"
)

// outcome is the result of one check of a client.
type outcome struct {
	check  string
	passed bool
}

// suite is a client and how it is run.
type suite struct {
	name    string
	debian  string   // packages to install
	npm     bool     // from the registry, not from Debian
	checks  int      // how many it makes: a suite that ends early has not passed
	probe   []string // succeeds if the client is installed
	command func(addrs []string) []string
	parse   func(output string) []outcome
}

// python is the interpreter that Debian's modules are for, even if another one is
// first in PATH.
const python = "/usr/bin/python3"

// suites lists all clients. A client with both protocols is run with each.
func suites() []suite {
	return []suite{
		capable("memccapable text", 27, "-a"),
		capable("memccapable binary", 27, "-b"),
		script("pymemcache", 33, "python3-pymemcache", []string{python, "-c", "import pymemcache"}, python, "with_pymemcache.py"),
		script("pylibmc text", 30, "python3-pylibmc", []string{python, "-c", "import pylibmc"}, python, "with_pylibmc.py", "text"),
		script("pylibmc binary", 30, "python3-pylibmc", []string{python, "-c", "import pylibmc"}, python, "with_pylibmc.py", "binary"),
		script("Cache::Memcached::Fast", 32, "libcache-memcached-fast-perl", []string{"perl", "-MCache::Memcached::Fast", "-e", "1"}, "perl", "fast.pl"),
		script("php-memcached text", 33, "php-cli php-memcached", []string{"php", "-r", "new Memcached();"}, "php", "memcached.php", "text"),
		script("php-memcached binary", 35, "php-cli php-memcached", []string{"php", "-r", "new Memcached();"}, "php", "memcached.php", "binary"),
		node("npm memcached", 27, "with_memcached.js"),
		node("npm memjs", 21, "with_memjs.js"),
	}
}

// capable runs memccapable, a program of libmemcached, against the last server.
func capable(name string, checks int, protocol string) suite {
	return suite{
		name: name, debian: capablePackage, checks: checks, probe: []string{"sh", "-c", "command -v memccapable"},
		command: func(addrs []string) []string {
			host, port, _ := strings.Cut(addrs[len(addrs)-1], ":")
			return []string{"memccapable", "-h", host, "-p", port, "-t", "10", protocol}
		},
		parse: parseCapable,
	}
}

func script(name string, checks int, debian string, probe []string, interpreter, file string, args ...string) suite {
	return suite{
		name: name, debian: debian, checks: checks, probe: probe, parse: parseScript,
		command: func(addrs []string) []string {
			command := append([]string{interpreter, filepath.Join("clients", file)}, args...)
			return append(command, addrs...)
		},
	}
}

func node(name string, checks int, file string) suite {
	s := script(name, checks, "nodejs npm", []string{"sh", "-c", "command -v node && command -v npm"}, "node", file)
	s.npm = true
	return s
}

var capableCheck = regexp.MustCompile(`((?:ascii|binary)(?: [a-z]+)+) {2,}(\[pass\])?`)

// parseCapable reads the names of checks, with "[pass]" after those that pass. The
// other output says which ones failed.
func parseCapable(output string) []outcome {
	var outcomes []outcome
	for _, m := range capableCheck.FindAllStringSubmatch(output, -1) {
		outcomes = append(outcomes, outcome{m[1], m[2] != ""})
	}
	return outcomes
}

// parseScript reads lines like "ok set" and "not ok set".
func parseScript(output string) []outcome {
	var outcomes []outcome
	for s := bufio.NewScanner(strings.NewReader(output)); s.Scan(); {
		if name, ok := strings.CutPrefix(s.Text(), "ok "); ok {
			outcomes = append(outcomes, outcome{name, true})
		} else if name, ok := strings.CutPrefix(s.Text(), "not ok "); ok {
			outcomes = append(outcomes, outcome{name, false})
		}
	}
	return outcomes
}

// run runs a suite. folder is where npm has installed the client, if npm was needed.
func (s suite) run(ctx context.Context, addrs []string, folder string) ([]outcome, error) {
	command := s.command(addrs)
	if s.npm {
		command[1] = filepath.Join(folder, filepath.Base(command[1])) // Node.js looks for modules beside the script
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	var output, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &errs
	err := cmd.Run()
	outcomes := s.parse(output.String())
	if len(outcomes) == 0 || s.debian != capablePackage && err != nil {
		return outcomes, errors.Join(err, fmt.Errorf("run %s:\n%s%s", strings.Join(command, " "), output.String(), errs.String()))
	}
	return outcomes, nil
}

// capablePackage has the only program whose exit code reports a failed check.
const capablePackage = "libmemcached-tools"

// installNPM installs what clients/package-lock.json pins into a temporary folder,
// beside copies of the scripts.
func installNPM(ctx context.Context, t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	files, err := filepath.Glob("clients/*.js*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--cache", filepath.Join(folder, "cache"))
	cmd.Dir = folder
	if output, err := cmd.CombinedOutput(); err != nil {
		cluster.Skip(t, "needs packages of npm's registry: %v\n%s", err, output)
	}
	return folder
}
