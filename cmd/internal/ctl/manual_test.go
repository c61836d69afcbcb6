package ctl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// manuals is where the man pages are, one for each command.
const manuals = "../../../deploy/man"

// manualDate is in the pages, which must not change by themselves.
var manualDate = time.Date(2026, time.November, 1, 0, 0, 0, 0, time.UTC)

// TestManualsShowTheCommands: the man pages are what the commands say of themselves.
func TestManualsShowTheCommands(t *testing.T) {
	want := map[string]string{}
	addManuals(t, (&ctl{}).newRoot(), want)
	if *rewrite {
		for name, text := range want {
			if err := os.WriteFile(filepath.Join(manuals, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	there, err := filepath.Glob(filepath.Join(manuals, "raftcachectl*"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range want {
		got, err := os.ReadFile(filepath.Join(manuals, name))
		if err != nil || string(got) != text {
			t.Errorf("%s is not what the command says: run make rewrite (%v)", name, err)
		}
	}
	for _, file := range there {
		if _, ok := want[filepath.Base(file)]; !ok {
			t.Errorf("%s is of no command", file)
		}
	}
}

// addManuals adds the man pages of a command and of those below it.
func addManuals(t *testing.T, cmd *cobra.Command, pages map[string]string) {
	t.Helper()
	cmd.DisableAutoGenTag = true
	header := doc.GenManHeader{Section: "1", Source: "raftcached", Manual: "User Commands", Date: &manualDate}
	var page bytes.Buffer
	if err := doc.GenMan(cmd, &header, &page); err != nil {
		t.Fatal(err)
	}
	pages[strings.ReplaceAll(cmd.CommandPath(), " ", "-")+".1"] = page.String()
	for _, c := range cmd.Commands() {
		if c.IsAvailableCommand() && !c.IsAdditionalHelpTopicCommand() {
			addManuals(t, c, pages)
		}
	}
}
