package raftcached

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const modulePath = "raftcached"

// benchModule is the folder of the module that measures the product. Its
// packages are on the map as the product's are; the modules below tools are not.
const benchModule = "bench"

// layer says what the package in a folder may import of this module, and what
// its tests may import besides.
type layer struct {
	may   []string
	tests []string
}

// layers is the map of ARCHITECTURE.md. "." is the face at the module's root; a
// folder with Go files that is not listed here is a failure.
var layers = map[string]layer{
	"internal/item":             {},
	"internal/measure":          {},
	"internal/seldom":           {},
	"internal/yield":            {},
	"internal/handshake":        {may: []string{"internal/certnames"}, tests: []string{"internal/testcerts"}},
	"protocol":                  {may: []string{"internal/item"}, tests: []string{"internal/cluster", "internal/transcript"}},
	"protocol/server":           {may: []string{"internal/handshake", "internal/item", "internal/measure", "protocol", "protocol/server/eventloop", "protocol/server/stats"}, tests: []string{"internal/testcerts", "internal/testclient", "internal/transcript"}},
	"protocol/server/eventloop": {may: []string{"internal/handshake", "internal/seldom", "internal/yield"}, tests: []string{"internal/testcerts", "internal/testclient"}},
	"protocol/server/stats":     {may: []string{"internal/item", "protocol"}},
	"engine":                    {may: []string{"engine/memory", "engine/store", "internal/item"}},
	"engine/store":              {may: []string{"engine/memory", "internal/item"}},
	"engine/memory":             {},
	"replication": {
		may:   []string{"internal/measure", "internal/seldom", "replication/frame"},
		tests: []string{"engine", "internal/item", "replication/disk", "replication/disk/disktest", "replication/identity", "replication/wal", "replication/snapshot", "internal/yield"},
	},
	"replication/disk":          {tests: []string{"replication/disk/disktest"}},
	"replication/disk/disktest": {may: []string{"replication/disk"}},
	"replication/frame":         {},
	"replication/wal":           {may: []string{"replication/disk"}, tests: []string{"replication/disk/disktest"}},
	"replication/snapshot":      {may: []string{"replication/disk"}, tests: []string{"replication/disk/disktest"}},
	"replication/identity":      {may: []string{"replication/disk"}, tests: []string{"replication/disk/disktest"}},
	"replication/peer":          {may: []string{"internal/certnames", "internal/handshake", "internal/seldom", "replication/frame", "replication/identity"}, tests: []string{"internal/testcerts"}},
	"internal/admin":            {may: []string{"internal/certnames", "internal/handshake", "internal/seldom"}, tests: []string{"internal/testcerts"}},
	"internal/auth":             {},
	"internal/authority":        {may: []string{"internal/certnames"}, tests: []string{"internal/certificates"}},
	"internal/backup":           {may: []string{"engine"}},
	"internal/certificates":     {tests: []string{"internal/testcerts"}},
	"internal/certnames":        {tests: []string{"internal/testcerts"}},
	"internal/importer":         {tests: []string{".", "internal/cluster", "raftcachedtest"}},
	"internal/offline": {
		may:   []string{"engine", "replication", "replication/disk", "replication/identity", "replication/snapshot", "replication/wal"},
		tests: []string{"replication/disk/disktest", "replication/frame"},
	},
	"internal/settings": {may: []string{"engine"}},
	"internal/metrics":  {may: []string{"internal/handshake", "internal/measure", "protocol/server/stats"}},
	"internal/overview": {may: []string{"internal/admin"}},
	"internal/page":     {may: []string{"internal/admin", "internal/overview"}},
	"internal/node": {may: []string{
		"internal/admin", "internal/auth", "internal/backup", "internal/certificates", "internal/certnames", "internal/handshake", "internal/item", "internal/measure", "internal/metrics", "internal/page", "internal/seldom", "internal/settings", "internal/yield", "protocol", "protocol/server", "protocol/server/stats", "engine", "replication", "replication/disk",
		"replication/frame", "replication/wal", "replication/snapshot", "replication/identity", "replication/peer",
	}, tests: []string{"internal/testcerts", "internal/testclient", "internal/transcript"}},
	".":              {may: []string{"internal/certificates", "internal/item", "internal/node", "internal/settings", "engine", "protocol", "protocol/server", "replication/disk"}, tests: []string{".", "internal/testcerts", "internal/testclient", "raftcachedtest"}},
	"raftcachedtest": {may: []string{"."}},

	"cmd/raftcached":      {may: []string{".", "cmd/internal/serve", "cmd/internal/tuning"}},
	"cmd/raftcachectl":    {may: []string{"cmd/internal/ctl"}},
	"cmd/server-spawner":  {may: []string{".", "cmd/internal/serve", "cmd/internal/spawn", "cmd/internal/tuning"}},
	"cmd/internal/ctl":    {may: []string{".", "internal/admin", "internal/auth", "internal/authority", "internal/backup", "internal/certificates", "internal/certnames", "internal/importer", "internal/offline", "internal/overview", "internal/settings", "replication/disk", "replication/identity"}, tests: []string{"replication"}},
	"cmd/internal/parent": {},
	"cmd/internal/tuning": {},
	"cmd/internal/serve":  {may: []string{".", "cmd/internal/parent"}},
	"cmd/internal/spawn":  {may: []string{".", "internal/auth", "internal/settings", "cmd/internal/parent", "cmd/internal/tuning"}},

	"bench":                 {may: []string{"bench/zipf"}},
	"bench/zipf":            {},
	"bench/hitratio":        {may: []string{"bench/zipf", "engine"}, tests: []string{"internal/cluster"}},
	"bench/footprint":       {},
	"bench/steady":          {may: []string{"bench", "internal/cluster"}},
	"bench/cmd/backup":      {may: []string{"bench/footprint", "bench/steady", "internal/cluster"}},
	"bench/cmd/snapshot":    {may: []string{"bench/footprint", "bench/steady", "internal/cluster"}},
	"bench/cmd/replace":     {may: []string{"bench/steady", "internal/cluster"}},
	"bench/cmd/load":        {may: []string{"bench"}},
	"bench/cmd/idle":        {may: []string{"bench/footprint", "internal/cluster"}},
	"bench/cmd/measuring":   {may: []string{"bench", "bench/footprint", "internal/cluster"}},
	"bench/cmd/growth":      {may: []string{"bench", "bench/footprint", "internal/cluster"}},
	"bench/cmd/reads":       {may: []string{"bench", "bench/footprint", "internal/cluster"}},
	"bench/cmd/tls":         {},
	"bench/cmd/compare":     {may: []string{"bench", "internal/cluster"}},
	"bench/cmd/hitratio":    {may: []string{"bench/hitratio", "internal/cluster"}},
	"bench/cmd/failover":    {may: []string{"bench", "internal/cluster"}},
	"bench/cmd/memory":      {may: []string{"bench", "bench/footprint", "internal/cluster"}},
	"internal/cluster":      {},
	"internal/testcerts":    {},
	"internal/testclient":   {},
	"internal/transcript":   {},
	"internal/conformance":  {tests: []string{"internal/cluster"}},
	"internal/differential": {may: []string{"internal/cluster"}},
	"internal/integration":  {tests: []string{"internal/admin", "internal/certnames", "internal/cluster", "internal/overview", "internal/testcerts", "internal/testclient", "internal/transcript", "replication/disk", "replication/disk/disktest", "replication/frame", "replication/identity", "replication/peer", "replication/wal"}},
}

// owners lists the modules that one package alone may import.
var owners = map[string]string{
	"github.com/spf13/cobra":            "cmd/internal/ctl",
	"github.com/spf13/pflag":            "cmd/internal/ctl",
	"github.com/panjf2000/gnet/v2":      "protocol/server/eventloop",
	"github.com/vmihailenco/msgpack/v5": "replication/frame",
	"github.com/zeebo/xxh3":             "engine/store",

	"github.com/coreos/go-systemd/v22/daemon": "cmd/internal/serve",

	"github.com/prometheus/client_golang/prometheus":            "internal/metrics",
	"github.com/prometheus/client_golang/prometheus/collectors": "internal/metrics",
	"github.com/prometheus/client_golang/prometheus/promhttp":   "internal/metrics",
}

// testModules may be imported by tests alone, and by packages made for tests,
// whose names end in "test".
var testModules = []string{
	"github.com/anishathalye/porcupine",
	"github.com/bradfitz/gomemcache",
	"github.com/cockroachdb/datadriven",
	"go.uber.org/goleak",
	"go.yaml.in/yaml/v2",
	"pgregory.net/rapid",
}

// pure packages compute: bytes in, bytes out. What happens in them depends on
// nothing but their input, so these imports have no place there.
var (
	pure          = []string{"internal/item", "protocol", "engine", "engine/store", "replication/frame"}
	impureImports = []string{"net", "os", "syscall", "math/rand", "math/rand/v2", "crypto/rand", "log/slog"}
)

// TestImports fails on an import that the map does not allow. It parses the
// files itself: a test that asks `go list` is cached although files changed.
func TestImports(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the source: not in a short run")
	}
	for _, dir := range packageDirs(t) {
		rules, listed := layers[dir]
		if !listed {
			t.Errorf("package %s is not in layers: say there what it may import", dir)
			continue
		}
		for file, imports := range importsOf(t, dir) {
			isTest := strings.HasSuffix(file, "_test.go")
			for _, imported := range imports {
				if why := breach(dir, rules, imported, isTest); why != "" {
					t.Errorf("%s imports %s: %s", file, imported, why)
				}
			}
		}
	}
}

// breach says why a package may not import a path, or nothing.
func breach(dir string, rules layer, imported string, isTest bool) string {
	if own, isOwn := ownDir(imported); isOwn {
		switch {
		case own == dir, slices.Contains(rules.may, own):
		case isTest && slices.Contains(rules.tests, own):
		default:
			return "layers does not allow it"
		}
		return ""
	}
	for module, owner := range owners {
		if within(imported, module) && dir != owner {
			return "only " + owner + " may"
		}
	}
	if isTest || strings.HasSuffix(dir, "test") {
		return ""
	}
	for _, module := range testModules {
		if within(imported, module) {
			return "only tests may"
		}
	}
	if slices.Contains(pure, dir) && slices.Contains(impureImports, imported) {
		return dir + " computes and must not depend on anything outside"
	}
	return ""
}

func ownDir(imported string) (string, bool) {
	if imported == modulePath {
		return ".", true
	}
	return strings.CutPrefix(imported, modulePath+"/")
}

func within(imported, module string) bool {
	return imported == module || strings.HasPrefix(imported, module+"/")
}

// packageDirs returns every folder of the product and of bench that has Go files.
func packageDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			name := entry.Name()
			_, goMod := os.Stat(filepath.Join(file, "go.mod"))
			otherModule := goMod == nil && file != "." && file != benchModule
			if file != "." && strings.HasPrefix(name, ".") || name == "testdata" || otherModule {
				return filepath.SkipDir
			}
			return nil
		}
		if dir := path.Dir(filepath.ToSlash(file)); strings.HasSuffix(file, ".go") && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}

// importsOf returns the import paths of each Go file in a folder.
func importsOf(t *testing.T, dir string) map[string][]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	imports := map[string][]string{}
	for _, file := range files {
		var parsed *ast.File
		parsed, err = parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, spec := range parsed.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				t.Fatal(err)
			}
			imports[file] = append(imports[file], imported)
		}
	}
	return imports
}

// TestImportRules shows that the map catches what it is for.
func TestImportRules(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the source: not in a short run")
	}
	for _, c := range []struct {
		dir, imported string
		isTest        bool
		allowed       bool
	}{
		{"engine", "raftcached/protocol", false, false},
		{"protocol", "raftcached/engine", true, false},
		{"replication", "raftcached/engine", false, false},
		{"replication", "raftcached/engine", true, true},
		{"protocol/server", "raftcached/protocol", false, true},
		{"engine", "raftcached", false, false},
		{".", "raftcached/engine", false, true},
		{"replication/peer", "github.com/panjf2000/gnet/v2", false, false},
		{"protocol/server", "github.com/panjf2000/gnet/v2/pkg/logging", false, false},
		{"protocol/server/eventloop", "github.com/panjf2000/gnet/v2/pkg/logging", false, true},
		{"protocol/server/eventloop", "raftcached/protocol", false, false},
		{"engine", "pgregory.net/rapid", true, true},
		{"engine", "pgregory.net/rapid", false, false},
		{"engine", "os", false, false},
		{"engine", "os", true, true},
		{"replication/disk", "os", false, true},
		{"replication/wal", "raftcached/replication/disk/disktest", false, false},
		{"bench/hitratio", "raftcached/engine", false, true},
		{"engine", "raftcached/bench/zipf", false, false},
	} {
		if why := breach(c.dir, layers[c.dir], c.imported, c.isTest); (why == "") != c.allowed {
			t.Errorf("%s imports %s (test: %v): %q, want allowed %v", c.dir, c.imported, c.isTest, why, c.allowed)
		}
	}
}
