package cluster

import "os"

// Test is the part of a *testing.T that Skip needs.
type Test interface {
	Helper()
	Fatalf(format string, args ...any)
	Skipf(format string, args ...any)
}

// Skip skips a test for which something is missing on this machine. With
// TEST_RAFTCACHED_REQUIRE=1, as in CI, it fails the test instead.
func Skip(t Test, format string, args ...any) {
	t.Helper()
	if os.Getenv("TEST_RAFTCACHED_REQUIRE") == "1" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}

// NeedMemcached skips a test, as Skip does, on a machine without memcached.
func NeedMemcached(t Test) {
	t.Helper()
	if _, err := FindMemcached(); err != nil {
		Skip(t, "%v", err)
	}
}
