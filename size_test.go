package raftcached

import (
	"bytes"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The limits of CONTRIBUTING.md, "Before you send a change". They hold for the
// product and for bench. Tables in tests may make a test function longer.
const (
	fileLinesMax     = 400
	functionLinesMax = 70
)

// TestSizes fails on a file or a function that is too long.
func TestSizes(t *testing.T) {
	if testing.Short() {
		t.Skip("reads the source: not in a short run")
	}
	for _, dir := range packageDirs(t) {
		files, err := filepath.Glob(filepath.Join(dir, "*.go"))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			checkSizes(t, file)
		}
	}
}

func checkSizes(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text, []byte("\n")); n > fileLinesMax {
		t.Errorf("%s has %d lines, at most %d are allowed: give one of its concepts a file of its own", file, n, fileLinesMax)
	}
	if strings.HasSuffix(file, "_test.go") {
		return
	}
	files := token.NewFileSet()
	parsed, err := parser.ParseFile(files, file, text, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(parsed, func(n ast.Node) bool {
		f, isFunction := n.(*ast.FuncDecl)
		if !isFunction {
			return true
		}
		if n := files.Position(f.End()).Line - files.Position(f.Pos()).Line + 1; n > functionLinesMax {
			t.Errorf("%s: %s has %d lines, at most %d are allowed", files.Position(f.Pos()), f.Name.Name, n, functionLinesMax)
		}
		return false
	})
}
