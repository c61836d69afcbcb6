package stats

import (
	"fmt"
	"strings"
	"testing"
)

// TestPrefixesAreBounded: a dump is no larger than other answers, however long the prefixes
// are, and tells of many short ones. Later ones are not counted, until all are forgotten.
func TestPrefixesAreBounded(t *testing.T) {
	p := NewPrefixes(0, true)
	for _, test := range []struct {
		longer string
		least  int
	}{{"", 14_000}, {strings.Repeat("k", 240), 3_000}} {
		p.Reset()
		for i := range 1 << 16 {
			p.Set(fmt.Appendf(nil, "%d%s:x", i, test.longer))
		}
		p.Set(fmt.Appendf(nil, "0%s:y", test.longer))
		dump := string(p.Append(nil))
		if n := strings.Count(dump, "PREFIX "); n < test.least || len(dump) > 1<<20 {
			t.Errorf("%d prefixes in %d bytes, want %d at least in 1 MiB", n, len(dump), test.least)
		}
		if first := fmt.Sprintf("PREFIX 0%s get 0 hit 0 set 2 del 0\r\n", test.longer); !strings.HasPrefix(dump, first) {
			t.Errorf("the first is %.300q", dump)
		}
	}
}
