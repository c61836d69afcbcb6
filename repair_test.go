package raftcached

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// repairDocument says what each message of a server means.
const repairDocument = "docs/repair.md"

// notServers are packages that are no part of a server.
var notServers = []string{"bench", "tools", "cmd/internal/ctl", "cmd/raftcachectl", "internal/cluster", "internal/differential", "internal/importer", "internal/offline", "internal/testcerts", "internal/testclient", "internal/transcript"}

// starting are the files whose errors, of fmt and errors, end a server at its start, or
// after it has met the others. What ends in another error, or in the system's reason, says
// only what was tried: the document has a section about those.
var starting = []string{
	"cmd/internal/serve/serve.go", "cmd/internal/spawn/child.go", "cmd/internal/spawn/claim.go",
	"internal/auth/file.go", "internal/auth/parse.go", "internal/certificates/config.go", "internal/certificates/read.go",
	"internal/node/check.go", "internal/node/join.go", "internal/node/keys.go", "internal/node/lost.go",
	"replication/border.go", "replication/members.go", "replication/read_entry.go", "replication/snapshot_files.go",
	"replication/identity/identity.go", "replication/identity/lineage.go",
	"replication/peer/hello.go", "replication/peer/tls.go", "replication/peer/form.go", "replication/peer/join.go",
}

// notRefusals are texts in those files that end no server.
var notRefusals = []string{
	"the node is a member of a cluster already", // a mistake of the program
	"encode identity: …", "malformed frame", "read hello: kind … of … values: …",
	"… incarnations of … starts",
}

// variable are the sentences that are logged by a variable, by file.
var variable = map[string][]string{
	"internal/node/space.go": {
		"writes are refused: too few servers have room on their disks, or this one cannot write",
		"writes are refused: the disk of this server does not answer",
	},
	"internal/node/check.go":                {"disk of …: … free, needs about …: make room, or lower logRetainMiB"},
	"replication/peer/sender.go":            {"refused by a peer", "not taken for a peer", "not believed, as who says it has not proved to be a peer"},
	"replication/peer/receiver.go":          {"refused by a peer"}, // and as above
	"replication/raftlogger.go":             {"(of the raft library) …"},
	"protocol/server/eventloop/gnet_log.go": {"gnet: …"},
	"internal/seldom/logger.go":             nil, // its callers have them
}

var verb = regexp.MustCompile(`%[-+# 0]*[0-9]*(\.[0-9]+)?[a-zA-Z]`)

// sentence returns the text of an expression, with … for what differs.
func sentence(e ast.Expr) string {
	switch e := e.(type) {
	case *ast.BasicLit:
		if text, err := strconv.Unquote(e.Value); err == nil && e.Kind == token.STRING {
			return verb.ReplaceAllString(text, "…")
		}
	case *ast.BinaryExpr:
		return strings.ReplaceAll(sentence(e.X)+sentence(e.Y), "……", "…")
	case *ast.CallExpr:
		if _, name := called(e.Fun); name == "Sprintf" {
			return sentence(e.Args[0])
		}
	}
	return "…"
}

// called returns the name of a function or a type, and what stands before it.
func called(e ast.Expr) (of, name string) {
	switch f := e.(type) {
	case *ast.Ident:
		return "", f.Name
	case *ast.SelectorExpr:
		if x, ok := f.X.(*ast.Ident); ok {
			return x.Name, f.Sel.Name
		}
		return "…", f.Sel.Name
	}
	return "", ""
}

// messages collects what a file says to its operator.
type messages struct {
	file     string
	found    []string
	literals []string // all texts
	logs     int      // by a variable
}

func (m *messages) add(text string) {
	if !slices.Contains(notRefusals, text) {
		m.found = append(m.found, text)
	}
}

// inCall adds the sentence of a call.
func (m *messages) inCall(c *ast.CallExpr) {
	of, name := called(c.Fun)
	inPeer, inSettings := strings.HasPrefix(m.file, "replication/peer/"), strings.HasPrefix(m.file, "internal/settings/")
	switch {
	case name == "Warn" && len(c.Args) > 0, name == "Error" && len(c.Args) > 0 && of != "http":
		m.logged(sentence(c.Args[0]))
	case name == "Log" && len(c.Args) > 2:
		m.logged(sentence(c.Args[2]))
	case name == "Errorf" && of == "settings", inSettings && name == "Errorf" && of == "", name == "usageErrorf", name == "errorf":
		m.add(sentence(c.Args[0]))
	case name == "Errorf" && (of == "line" || of == "l"): // its first argument is the setting
		m.add(sentence(c.Args[1]))
	case inPeer && (name == "refuse" && of == "" || name == "refuseNow"):
		m.add(sentence(c.Args[0]))
	case (of == "fmt" && name == "Errorf" || of == "errors" && name == "New") && slices.Contains(starting, m.file):
		if text := sentence(c.Args[0]); !strings.HasSuffix(text, ": …") || strings.Count(text, ": ") > 1 {
			m.add(text)
		}
	}
}

func (m *messages) logged(text string) {
	if strings.Trim(text, "… ") == "" {
		m.logs++
		return
	}
	m.add(text)
}

// inLiteral adds the sentence of a refusal, or of a check that fails.
func (m *messages) inLiteral(l *ast.CompositeLit) {
	if l.Type == nil {
		return
	}
	_, name := called(l.Type)
	if !slices.Contains([]string{"RefusedError", "OutdatedError", "RemovedError", "Check"}, name) || strings.HasPrefix(m.file, "internal/admin/") || m.file == "internal/node/backup.go" {
		return
	}
	for _, e := range l.Elts {
		pair, named := e.(*ast.KeyValueExpr)
		if !named {
			m.add(sentence(e))
			continue
		}
		switch _, key := called(pair.Key); key {
		case "OK":
			return // of a check that succeeds
		case "Sentence", "Text":
			m.add(sentence(pair.Value))
		}
	}
}

// messagesOf returns what a file says. The sentences of types of errors are those that
// their method Error is made of.
func messagesOf(t *testing.T, file string) *messages {
	t.Helper()
	parsed, err := parser.ParseFile(token.NewFileSet(), file, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	m := &messages{file: filepath.ToSlash(file)}
	ast.Inspect(parsed, func(n ast.Node) bool {
		if e, is := n.(ast.Expr); is {
			if text := sentence(e); strings.Trim(text, "… :") != "" {
				m.literals = append(m.literals, text)
			}
		}
		switch n := n.(type) {
		case *ast.CallExpr:
			m.inCall(n)
		case *ast.CompositeLit:
			m.inLiteral(n)
		case *ast.FuncDecl:
			if n.Name.Name == "Error" && n.Recv != nil && strings.HasPrefix(m.file, "replication/") {
				ast.Inspect(n.Body, func(n ast.Node) bool {
					if r, is := n.(*ast.ReturnStmt); is && len(r.Results) == 1 {
						m.add(sentence(r.Results[0]))
					}
					return true
				})
			}
		}
		return true
	})
	return m
}

// TestRepairKnowsAllMessages: what a server logs as a warning or an error, and what it
// refuses to start with, is in the document that says what it means.
func TestRepairKnowsAllMessages(t *testing.T) {
	text, err := os.ReadFile(repairDocument)
	if err != nil {
		t.Fatal(err)
	}
	var rows []string
	sentences, _, found := strings.Cut(string(text), "## The reason at the end")
	if !found {
		t.Fatalf("%s has no section about what the system says", repairDocument)
	}
	for line := range strings.Lines(sentences) {
		if first, rest, isRow := strings.Cut(strings.TrimPrefix(line, "| "), " | "); isRow && strings.HasPrefix(line, "| `") && rest != "" {
			rows = append(rows, strings.TrimSpace(strings.ReplaceAll(first, "`", "")))
		}
	}
	var literals []string
	for _, dir := range packageDirs(t) {
		if slices.ContainsFunc(notServers, func(no string) bool { return dir == no || strings.HasPrefix(dir, no+"/") }) || strings.HasSuffix(dir, "test") {
			continue
		}
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			if strings.HasSuffix(file, "_test.go") {
				continue
			}
			m := messagesOf(t, file)
			literals = append(literals, append(m.literals, variable[m.file]...)...)
			if _, listed := variable[m.file]; m.logs > 0 && !listed {
				t.Errorf("%s logs what a variable has: list in variable what that may be", file)
			}
			for _, text := range append(m.found, variable[m.file]...) {
				if strings.Trim(text, "… :") == "" {
					continue
				}
				if !slices.ContainsFunc(rows, func(row string) bool { return fits(row, text) }) {
					t.Errorf("%s says %q, which %s does not explain", file, text, repairDocument)
				}
			}
		}
	}
	for _, row := range rows {
		if !slices.ContainsFunc(literals, func(text string) bool { return fits(row, text) }) {
			t.Errorf("%s explains %q, which no server says", repairDocument, row)
		}
	}
}

// fits reports whether a row stands for a sentence: where the sentence names a command
// with more words, the row may have one ….
func fits(row, text string) bool {
	text = strings.ReplaceAll(text, "`", "")
	if row == text {
		return true
	}
	parts := strings.Split(row, "…")
	if len(strings.Join(parts, "")) < len("a few words of it") || !strings.HasPrefix(text, parts[0]) || !strings.HasSuffix(text, parts[len(parts)-1]) {
		return false
	}
	for _, part := range parts {
		_, rest, found := strings.Cut(text, part)
		if !found {
			return false
		}
		text = rest
	}
	return true
}
