package settings

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
)

var rewrite = flag.Bool("rewrite", false, "write the tables of the document from what the code has")

// document is where the tables are for people to read.
const document = "../../docs/configuration.md"

// TestDocumentsShowTheTable: the tables in the document are those of the code.
func TestDocumentsShowTheTable(t *testing.T) {
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	want := string(text)
	for name, table := range map[string]string{"settings": settingsTable(), "servers": serversTable()} {
		begin, end := "<!-- begin "+name+" -->\n", "<!-- end "+name+" -->\n"
		before, rest, found := strings.Cut(want, begin)
		_, after, ended := strings.Cut(rest, end)
		if !found || !ended {
			t.Fatalf("%s lacks the lines %q and %q", document, begin, end)
		}
		want = before + begin + table + end + after
	}
	if want == string(text) {
		return
	}
	if !*rewrite {
		t.Fatalf("%s shows other settings than the table: run make rewrite", document)
	}
	if err := os.WriteFile(document, []byte(want), 0o600); err != nil {
		t.Fatal(err)
	}
}

// settingsTable shows what can be set, and the other flags.
func settingsTable() string {
	var text strings.Builder
	text.WriteString("| flag | server.json | default | bounds | meaning |\n| --- | --- | --- | --- | --- |\n")
	for i := range Table {
		s := &Table[i]
		var flags string
		switch {
		case len(s.Flags) > 0:
			flags = "`" + strings.ReplaceAll(s.usageNames(), ", ", "`, `") + "`"
		case s.Option != "":
			flags = "`-o " + s.Option + "=N`"
		}
		shown := s.shownDefault()
		if s.Kind == Switch && s.JSON != "" {
			shown = "false"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s | %s |\n", flags, code(s.JSON), shown, s.bounds(), help(s))
	}
	return text.String()
}

func serversTable() string {
	var text strings.Builder
	text.WriteString("| field | default | bounds | meaning |\n| --- | --- | --- | --- |\n")
	for i := range ServerTable {
		s := &ServerTable[i]
		shown := s.Shown
		if s.Required {
			shown = "required"
		}
		fmt.Fprintf(&text, "| %s | %s | %s | %s |\n", code(s.JSON), shown, s.bounds(), s.Help)
	}
	return text.String()
}

func code(name string) string {
	if name == "" {
		return ""
	}
	return "`" + name + "`"
}

// bounds shows the values that a setting may have.
func (s *Setting) bounds() string {
	src := FromFile
	if s.JSON == "" {
		src = FromFlag
	}
	switch s.Kind {
	case Choice:
		return "`" + strings.Join(s.Choices, "`, `") + "`"
	case Number, Size, Duration:
		return strings.TrimSpace(fmt.Sprintf("%s to %s %s", s.format(s.Min*s.Unit.Size, src), s.format(s.Max*s.Unit.Size, src), s.Unit.Name))
	}
	return ""
}

// TestTableIsConsistent: each name stands for one setting, and what is shown
// without a default has none.
func TestTableIsConsistent(t *testing.T) {
	seen := map[string]string{}
	for i := range Table {
		s := &Table[i]
		for _, name := range append([]string{"field " + s.Field, "JSON " + strings.ToLower(s.JSON), "variable " + s.Variable(), "option " + s.Option}, s.Flags...) {
			if strings.HasSuffix(name, " ") {
				continue
			}
			if other, twice := seen[name]; twice {
				t.Errorf("%s and %s are both called %q", s.Field, other, name)
			}
			seen[name] = s.Field
		}
		if s.Default != "" {
			if _, err := s.parse(s.Default); err != nil {
				t.Errorf("the default of %s is %q: %v", s.Field, s.Default, err)
			}
		}
		if help(s) == "" || len(s.Flags) == 1 && len(s.Flags[0]) == 1 {
			t.Errorf("%s has no long flag or no help", s.Field)
		}
		if takes := s.Kind != Switch && s.Kind != Count; len(s.Flags) > 0 && takes != (s.Arg != "") {
			t.Errorf("%s takes a value: %v, but the usage calls it %q", s.Field, takes, s.Arg)
		}
	}
}

func TestVariablesOfOneServer(t *testing.T) {
	for variable, want := range map[string]bool{
		"RAFTCACHED_CONFIG": true, "RAFTCACHED_ID": true, "RAFTCACHED_DATA": true, "RAFTCACHED_PORT": true,
		"RAFTCACHED_LISTEN": true, "RAFTCACHED_ADMIN_LISTEN": true, "RAFTCACHED_PEER_LISTEN": true, "RAFTCACHED_PIDFILE": true, "RAFTCACHED_MEMORY_LIMIT": false, "RAFTCACHED_AUTH_FILE": false, "": false, "HOME": false,
	} {
		if got := IsOneServers(variable); got != want {
			t.Errorf("%q belongs to one server: %v, want %v", variable, got, want)
		}
	}
}

// help says what a setting does, or why it does nothing.
func help(s *Setting) string {
	switch {
	case s.Ignored != "":
		return "ignored, with a note: " + s.Ignored
	case s.Refused != "":
		return "refused: " + s.Refused
	}
	return s.Help
}
