package ctl

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const goldenBackup = "../../../internal/backup/testdata/format_1.backup"

func TestInspect(t *testing.T) {
	code, stdout, stderr := run(t, nil, "inspect", goldenBackup)
	const want = `backup    format 1, 493 bytes, whole
cluster   990c120b, from server 1, raftcached 0.1.0
as of     index 900, term 3, 2030-03-17 17:46:40 UTC by the log's clock
items     4 of 0K, where the memory limit was 8192K
expiry    0 have expired by now, 2 will
contents  8ea5b702278b4b9c
`
	if code != exitOK || stdout != want || stderr != "" {
		t.Fatalf("exit code %d, %q\n%s", code, stderr, stdout)
	}
	if code, stdout, _ := run(t, nil, "inspect", "--keys", goldenBackup); code != exitOK || stdout != "k0\nk1\nk2\nk3\n" {
		t.Fatalf("exit code %d\n%s", code, stdout)
	}
	code, stdout, _ = run(t, nil, "inspect", "-o", "json", goldenBackup)
	if code != exitOK || !strings.Contains(stdout, `"items": 4,`) || !strings.Contains(stdout, `"whole": true`) || !strings.Contains(stdout, `"formatVersion": 1`) {
		t.Fatalf("exit code %d\n%s", code, stdout)
	}
}

// TestInspectDamage says what is wrong with a file, and what of it can be read.
func TestInspectDamage(t *testing.T) {
	whole, err := os.ReadFile(goldenBackup)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "b")
	header := bytes.Index(whole, []byte("rcengine"))
	for _, c := range []struct {
		what   string
		bytes  []byte
		stdout string // that the beginning must be
		want   string
	}{
		{"no backup", bytes.Repeat([]byte("x"), 100), "", `it is no backup: it begins with "xxxxxxxx", not "rcbackup": the backup is damaged: nothing of it is readable`},
		{"cut in its header", whole[:header/2], "", "it ends early: the backup is damaged: nothing of it is readable"},
		{"cut before its end", whole[:len(whole)-1], "backup    format 1, 492 bytes, DAMAGED\n", "it ends early: the backup is damaged: 4 of its 4 items, those before the damage, are readable, which --keys lists"},
		{"a byte in its items", func() []byte { b := bytes.Clone(whole); b[len(b)-60] ^= 1; return b }(), "", "a chunk has another checksum: the backup is damaged: nothing of it is readable"},
		{"bytes behind it", append(bytes.Clone(whole), "more"...), "backup    format 1, 497 bytes, DAMAGED\n", "bytes follow its end: the backup is damaged: 4 of its 4"},
	} {
		if err := os.WriteFile(name, c.bytes, 0o600); err != nil {
			t.Fatal(err)
		}
		code, stdout, stderr := run(t, nil, "inspect", name)
		if code != exitFailed || !strings.HasPrefix(stdout, c.stdout) || (c.stdout == "") != (stdout == "") || !strings.Contains(stderr, "raftcachectl: "+name+" cannot be restored: ") || !strings.Contains(stderr, c.want) {
			t.Errorf("%s: exit code %d, %q\n%s", c.what, code, stderr, stdout)
		}
	}
	if code, _, stderr := run(t, nil, "inspect", "no such file"); code != exitFailed || !strings.Contains(stderr, "open the backup: ") {
		t.Errorf("exit code %d, %q", code, stderr)
	}
}

func TestKeyText(t *testing.T) {
	for key, want := range map[string]string{"user:1": "user:1", "a b": `"a b"`, "\x00\xff": `"\x00\xff"`, `"q"`: `"\"q\""`} {
		if got := keyText([]byte(key)); got != want {
			t.Errorf("%q: %s, want %s", key, got, want)
		}
	}
}
