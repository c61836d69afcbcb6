package settings

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSecretIsRead(t *testing.T) {
	write := func(text string) string {
		name := filepath.Join(t.TempDir(), "secret")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	for _, c := range []struct {
		secret, file, want, wrong string
	}{
		{"", "", "", ""},
		{"sixteen bytes ok", "", "sixteen bytes ok", ""},
		{"", write("  sixteen bytes ok\n"), "sixteen bytes ok", ""},
		{"short", "", "", "the secret has 5 bytes: choose one of 16 to 4096"},
		{"", write("\n"), "", "has 0 bytes: choose one of 16 to 4096"},
		{"", write(strings.Repeat("x", 10_000)), "", "has 8192 bytes"},
		{"", "does-not-exist", "", "does-not-exist"},
		{"sixteen bytes ok", "f", "", "leave one out"},
	} {
		got, err := ReadSecret(c.secret, c.file)
		var wrong *Error
		if string(got) != c.want || (err != nil) != (c.wrong != "") || err != nil && (!errors.As(err, &wrong) || !strings.Contains(err.Error(), c.wrong)) {
			t.Errorf("secret %q, file %q: %q, %v; want %q, %q", c.secret, c.file, got, err, c.want, c.wrong)
		}
	}
}
