package stats

import (
	"fmt"
	"strings"
	"testing"
)

// TestPrefixesAreBounded: of more prefixes than memcached keeps, the later ones are not
// counted.
func TestPrefixesAreBounded(t *testing.T) {
	p := NewPrefixes(0, true)
	for i := range prefixesMax + 10 {
		p.Set(fmt.Appendf(nil, "%d:x", i))
	}
	p.Set([]byte("0:y"))
	dump := string(p.Append(nil))
	if n := strings.Count(dump, "PREFIX "); n != prefixesMax {
		t.Errorf("%d prefixes, want %d", n, prefixesMax)
	}
	if !strings.HasPrefix(dump, "PREFIX 0 get 0 hit 0 set 2 del 0\r\n") {
		t.Errorf("the first is %.40q", dump)
	}
}
