package hitratio

import (
	"os"
	"strings"
	"testing"
)

func ExampleTable() {
	table := &Table{Caches: []string{"memcached", "engine"}, Rival: "memcached", Ours: []string{"raftcached", "engine"}}
	_ = table.WriteHeader(os.Stdout)
	for i, misses := range []int{300, 270, 299, 301} {
		_ = table.WriteRow(os.Stdout, Row{
			Trace: "zipf 0.99", Share: 0.01 * float64(1+i), MemoryMiB: 8 * (1 + i), Requests: 1000,
			Misses: map[string]int{"memcached": 300, "engine": misses},
		})
	}
	_ = table.WriteSummary(os.Stdout)
	// Output:
	// | trace | cache | requests | memcached | engine | engine / memcached |
	// | --- | ---: | ---: | ---: | ---: | ---: |
	// | zipf 0.99 | 1 %, 8 MiB | 1000 | 0.3000 | 0.3000 | 1.000 |
	// | zipf 0.99 | 2 %, 16 MiB | 1000 | 0.3000 | 0.2700 | 0.900 |
	// | zipf 0.99 | 3 %, 24 MiB | 1000 | 0.3000 | 0.2990 | 0.997 |
	// | zipf 0.99 | 4 %, 32 MiB | 1000 | 0.3000 | 0.3010 | 1.003 |
	//
	// engine misses no more than memcached on 3 of 4 rows, and at least 10 % less on 1.
}

// TestTableWithoutRival compares nothing where the rival was not measured.
func TestTableWithoutRival(t *testing.T) {
	table := &Table{Caches: []string{"engine", "lru"}, Rival: "memcached", Ours: []string{"engine"}}
	var out strings.Builder
	for _, err := range []error{
		table.WriteHeader(&out),
		table.WriteRow(&out, Row{Requests: 4, Misses: map[string]int{"engine": 1, "lru": 2}}),
		table.WriteSummary(&out),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if got := out.String(); strings.Contains(got, "memcached") || !strings.Contains(got, "| 0.2500 | 0.5000 |") {
		t.Errorf("table is %q", got)
	}
}
