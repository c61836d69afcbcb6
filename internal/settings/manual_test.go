package settings

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// manual is the man page of raftcached, whose options are those of the table.
const manual = "../../deploy/man/raftcached.1"

// TestManualShowsTheTable: the man page is what the table makes of it.
func TestManualShowsTheTable(t *testing.T) {
	want := manualPage()
	if *rewrite {
		if err := os.WriteFile(manual, []byte(want), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(manual)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Fatalf("%s shows other settings than the table: run make rewrite", manual)
	}
}

func manualPage() string {
	var text strings.Builder
	text.WriteString(`.TH RAFTCACHED 1 "" raftcached "User Commands"
.SH NAME
raftcached \- a memcached that does not forget
.SH SYNOPSIS
.B raftcached
[\-config \fIserver.json\fR \-id \fIN\fR] [\fIflags\fR]
.SH DESCRIPTION
A server which every memcached client can use unchanged. Its writes go through Raft to three or five servers before they are
acknowledged; without \-config it is one node alone, with memcached's defaults and its data in the folder
.IR data .
.PP
memcached's other flags are accepted, with a note that they have no effect. A flag overrides the environment (the flag's long
name in capitals behind RAFTCACHED_, as RAFTCACHED_MEMORY_LIMIT), which overrides the config file, which overrides the default.
Some settings, like the ticks of raft, are fields of the config file alone: docs/configuration.md has all.
.SH OPTIONS
`)
	for i := range Table {
		s := &Table[i]
		if len(s.Flags) == 0 || s.Ignored != "" || s.Refused != "" {
			continue
		}
		names := roff(s.usageNames())
		if s.Arg != "" {
			names = strings.TrimSuffix(names, roff(s.Arg)) + `\fI` + roff(s.Arg) + `\fR`
		}
		fmt.Fprintf(&text, ".TP\n%s\n%s", names, roff(s.Help))
		if shown := s.shownDefault(); shown != "" {
			fmt.Fprintf(&text, " (default: %s)", roff(shown))
		}
		if b := s.bounds(); b != "" && len(s.Choices) != 1 { // the help says which one
			fmt.Fprintf(&text, ": %s", roff(strings.ReplaceAll(b, ", ", " or ")))
		}
		text.WriteString(".\n")
	}
	text.WriteString(`.SH SIGNALS
.TP
SIGTERM, SIGINT
hand leadership over, answer what has arrived, and end: at most 8 seconds. A second one ends at once.
.TP
SIGHUP
read the file of users and the certificates again. If they are bad, those of before stay, and the log says why.
.SH EXIT STATUS
.TP
0
stopped by a signal or by the command shutdown
.TP
1
failed: the last line of the log says why
.TP
64
wrong flags: to start it again does not help
.TP
78
wrong configuration; a data folder of another server, of one that was removed or replaced, or one that is a copy, damaged or not complete; or a program that is too old for its cluster: to start it again does not help
.SH SEE ALSO
.BR raftcachectl (1),
.BR server\-spawner (1),
docs/configuration.md, docs/operate.md
`)
	return text.String()
}

// roff returns text as roff shows it.
func roff(text string) string {
	text = strings.NewReplacer("`", "", `\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
